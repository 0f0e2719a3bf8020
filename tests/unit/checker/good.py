"""Evidence of a good day, made by hand: what each invariant is happy with."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import structs

from bench.checks import ExchangeRecord
from brokerage.contracts.ids import account_ref_for
from exchange.protocol import Bust, Execution, MemberMessage, OrderReport, Placement
from tests.checker.engines import Streams
from tests.checker.evidence import Evidence
from tests.checker.history import Call, Op
from tests.checker.money import GUARDS
from tests.checker.postgres import (
    AccountRow,
    EntryRow,
    EventRow,
    HoldRow,
    KeyRow,
    OrderRow,
    PositionRow,
    ReportRow,
    Tables,
)
from tests.checker.venue import Received, Venue

START: Final = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
ANN: Final = "ann"
CASH_CENTS: Final = 10_000_00
SHARES: Final = 50


@dataclass
class Day:
    """Ann's day: each method is something that happens, written down everywhere it leaves a trace.

    A second passes with everything.
    """

    now: float = 0.0
    cash_cents: int = CASH_CENTS
    held_cents: int = 0
    shares: int = SHARES
    held_shares: int = 0
    orders: dict[str, OrderRow] = field(default_factory=dict)
    reports: dict[str, OrderReport] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    messages: list[MemberMessage] = field(default_factory=list)
    placements: list[Received] = field(default_factory=list)
    booked: list[ReportRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    entries: list[EntryRow] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._post("opening", None, ("user", "USD", CASH_CENTS), ("opening", "USD", -CASH_CENTS))
        self._post("opening", None, ("user", "IBM", SHARES), ("opening", "IBM", -SHARES), first=3)

    def place(
        self, order_id: str, side: str, shares: int, price: int, *, market: bool = False
    ) -> None:
        """An order of IBM that is placed here and accepted there."""
        row = OrderRow(
            user_id=ANN,
            order_id=order_id,
            idempotency_key=f"key-{order_id}",
            symbol="IBM",
            side=side,
            order_type="market" if market else "limit",
            time_in_force="day",
            shares=shares,
            limit_price_cents=None if market else price,
            price_cents=price,
            status="pending",
            filled_shares=0,
            filled_notional_cents=0,
            executed_shares=0,
            matched_shares=0,
            final_shares=None,
            end_status=None,
            external_order_id=None,
            reason=None,
            version=0,
            created_at=START,
        )
        self._hold(row, shares)
        self._change(row, "placed", actor=ANN)
        self._send(order_id)
        self._change(
            self.orders[order_id],
            "submitted",
            status="submitted",
            external_order_id=f"X-{order_id}",
        )
        self.call(
            "place", 201, view(self.orders[order_id]), key=row.idempotency_key, body=asked(row)
        )

    def reject(self, order_id: str) -> None:
        """An order that our own checks refuse."""
        row = replace(
            self.orders["bought"],
            order_id=order_id,
            idempotency_key=f"key-{order_id}",
            status="rejected",
            external_order_id=None,
            filled_shares=0,
            filled_notional_cents=0,
            executed_shares=0,
            matched_shares=0,
            final_shares=0,
            version=0,
        )
        self._change(row, "rejected", actor=ANN)
        problem = {"code": "order-too-large", "order": view(self.orders[order_id])}
        self.call("place", 422, problem, key=row.idempotency_key, body=asked(row))

    def fill(self, order_id: str, shares: int, price: int) -> None:
        """An execution, booked on the order."""
        row = self.orders[order_id]
        execution_id = f"E-{len(self.messages) + 1}"
        execution = Execution(
            seq=len(self.messages) + 1,
            execution_id=execution_id,
            order_id=f"X-{order_id}",
            account=account_ref_for(ANN),
            symbol="IBM",
            side="buy" if row.sign == 1 else "sell",
            price_cents=price,
            shares=shares,
            cumulative_shares=row.executed_shares + shares,
            at_ms=0,
        )
        self.messages.append(execution)
        self.executions.append(execution)
        self._told(order_id, shares, shares * price)
        self._move(row, execution_id, shares, shares * price)
        self._hold(row, -shares)
        filled = row.filled_shares + shares
        self._change(
            row,
            "fill",
            status="filled" if filled == row.shares else _partly(row),
            filled_shares=filled,
            filled_notional_cents=row.filled_notional_cents + shares * price,
            executed_shares=filled,
            matched_shares=row.matched_shares + shares,
        )
        if filled == row.shares:
            self._status(order_id, "filled")
        self._book(execution_id, "fill", order_id, shares, price, None)

    def bust(self, order_id: str) -> None:
        """The last execution is taken back."""
        row, execution = self.orders[order_id], self.executions.pop()
        shares, cents = execution.shares, execution.shares * execution.price_cents
        self.messages.append(
            Bust(
                seq=len(self.messages) + 1,
                bust_id=f"B-{execution.execution_id}",
                execution_id=execution.execution_id,
                order_id=execution.order_id,
                account=execution.account,
                symbol="IBM",
                cumulative_shares=row.executed_shares - shares,
                at_ms=0,
            )
        )
        self._told(order_id, -shares, -cents)
        self._move(row, f"B-{execution.execution_id}", -shares, -cents)
        self._change(
            row,
            "bust",
            filled_shares=row.filled_shares - shares,
            filled_notional_cents=row.filled_notional_cents - cents,
            executed_shares=row.executed_shares - shares,
        )
        self._book(f"B-{execution.execution_id}", "bust", order_id, 0, 0, execution.execution_id)

    def cancel(self, order_id: str) -> None:
        """The rest of an order is cancelled."""
        row = self.orders[order_id]
        self._change(row, "cancel-requested", actor=ANN, status="pending_cancel")
        self._hold(row, -(row.shares - row.matched_shares))
        self._status(order_id, "cancelled")
        self._change(
            self.orders[order_id],
            "cancelled",
            status="cancelled",
            final_shares=row.executed_shares,
            end_status="cancelled",
        )
        answer = {"ok": True, "order": view(self.orders[order_id])}
        self.call("cancel", 200, answer, order_id=order_id)

    def read(self, order_id: str) -> None:
        """Ann looks at an order."""
        self.call("read", 200, view(self.orders[order_id]), order_id=order_id)

    def list(self) -> None:
        """Ann looks at all of them."""
        newest_first = sorted(
            map(view, self.orders.values()), key=lambda one: (one["createdAt"], one["id"])
        )[::-1]
        self.call("list", 200, {"items": newest_first, "nextCursor": None})

    def call(self, op: Op, status: int, answer: Any, **terms: Any) -> None:
        """A call that takes a tenth of a second and is answered so."""
        self.now += 1
        outcome = "ok" if status < 300 else "fail"
        begun = START.timestamp() + self.now
        self.calls.append(
            Call(op, ANN, begun, begun + 0.1, outcome, status=status, answer=answer, **terms)  # type: ignore[arg-type]
        )

    def evidence(self) -> Evidence:
        """All traces of the day."""
        open_orders = [one for one in self.orders.values() if one.is_open]
        return Evidence(
            calls=self.calls,
            tables=Tables(
                accounts=[AccountRow(ANN, self.cash_cents, self.held_cents, len(self.events))],
                positions=[PositionRow(ANN, "IBM", self.shares, self.held_shares)],
                keys=[
                    KeyRow(ANN, one.idempotency_key, one.order_id, START, 10_000, None, None)
                    for one in self.orders.values()
                ],
                orders=[*self.orders.values()],
                holds=[_hold_of(one) for one in open_orders],
                entries=self.entries,
                reports=self.booked,
                events=self.events,
                guards=frozenset(GUARDS),
            ),
            venue=Venue(
                ExchangeRecord([*self.reports.values()], self.executions),
                self.messages,
                self.placements,
            ),
            running=frozenset(one.order_id for one in open_orders),
            streams=Streams(taken_seq=len(self.messages)),
        )

    # -- traces ----------------------------------------------------------------------------------

    def _change(self, row: OrderRow, kind: str, actor: str = "exchange", **changes: Any) -> None:
        self.now += 1
        row = replace(row, version=row.version + 1, **changes)
        self.orders[row.order_id] = row
        self.events.append(
            EventRow(
                user_id=ANN,
                seq=len(self.events) + 1,
                order_id=row.order_id,
                kind=kind,
                version=row.version,
                actor=actor,
                order=view(row),
                at=START + timedelta(seconds=self.now),
                cash_cents=self.cash_cents,
                held_cents=self.held_cents,
                position_shares=self.shares,
                held_shares=self.held_shares,
            )
        )

    def _send(self, order_id: str) -> None:
        row, self.now = self.orders[order_id], self.now + 1
        at_ms = int((START.timestamp() + self.now) * 1000)
        terms: dict[str, Any] = {
            "client_order_id": order_id,
            "account": account_ref_for(ANN),
            "symbol": row.symbol,
            "side": row.side,
            "price_cents": row.price_cents,
            "shares": row.shares,
            "time_in_force": row.time_in_force,
        }
        self.placements.append(Received(Placement(send_by_ms=at_ms + 10_000, **terms), at_ms))
        self.reports[order_id] = OrderReport(
            order_id=f"X-{order_id}",
            status="open",
            cumulative_shares=0,
            cumulative_notional_cents=0,
            placed_at_ms=at_ms,
            **terms,
        )

    def _told(self, order_id: str, shares: int, cents: int) -> None:
        report = self.reports[order_id]
        self.reports[order_id] = structs.replace(
            report,
            cumulative_shares=report.cumulative_shares + shares,
            cumulative_notional_cents=report.cumulative_notional_cents + cents,
        )

    def _status(self, order_id: str, status: str) -> None:
        self.reports[order_id] = structs.replace(self.reports[order_id], status=status)

    def _hold(self, row: OrderRow, shares: int) -> None:
        if row.side == "buy":
            self.held_cents += shares * row.price_cents
        else:
            self.held_shares += shares

    def _move(self, row: OrderRow, source: str, shares: int, cents: int) -> None:
        shares, cents = row.sign * shares, -row.sign * cents
        self.cash_cents += cents
        self.shares += shares
        self._post(
            source,
            row.order_id,
            ("user", "USD", cents),
            ("user", "IBM", shares),
            ("clearing", "USD", -cents),
            ("clearing", "IBM", -shares),
        )

    def _post(
        self, source: str, order_id: str | None, *legs: tuple[str, str, int], first: int = 1
    ) -> None:
        for leg, (account, asset, amount) in enumerate(legs, first):
            self.entries.append(EntryRow(ANN, source, leg, account, asset, amount, order_id))

    def _book(
        self, report_id: str, kind: str, order_id: str, shares: int, price: int, amends: str | None
    ) -> None:
        self.booked.append(
            ReportRow(
                report_id=report_id,
                kind=kind,
                feed_seq=len(self.messages),
                order_id=order_id,
                user_id=ANN,
                symbol="IBM",
                shares=shares,
                price_cents=price,
                booked_shares=shares,
                booked_cents=shares * price,
                amends=amends,
            )
        )


def view(row: OrderRow) -> dict[str, Any]:
    """The order as clients see it: of its fields, those that the checker looks at."""
    return {
        "id": row.order_id,
        "status": row.status,
        "filledShares": row.filled_shares,
        "filledNotionalInCents": row.filled_notional_cents,
        "externalOrderId": row.external_order_id,
        "version": row.version,
        "createdAt": row.idempotency_key,
    }


def asked(row: OrderRow) -> Mapping[str, Any]:
    """The request that the order was placed with."""
    price = {} if row.limit_price_cents is None else {"priceInCents": row.limit_price_cents}
    return {"position": row.side, "symbol": row.symbol, "numShares": row.shares, **price}


def good_day() -> Evidence:
    """A buy filled in two parts, a sell that rests, a buy cancelled with a part filled, one that
    is refused, and a market order of which an execution was busted; and Ann looks at them.
    """
    day = Day()
    day.place("bought", "buy", 10, 10_100)
    day.fill("bought", 4, 10_000)
    day.read("bought")
    day.fill("bought", 6, 10_050)
    day.place("resting", "sell", 5, 12_000)
    day.reject("refused")
    day.place("cancelled", "buy", 8, 9_900)
    day.fill("cancelled", 3, 9_890)
    day.cancel("cancelled")
    day.place("busted", "buy", 2, 10_500, market=True)
    day.fill("busted", 2, 10_010)
    day.bust("busted")
    day.read("busted")
    day.list()
    return day.evidence()


def _partly(row: OrderRow) -> str:
    return "pending_cancel" if row.status == "pending_cancel" else "partially_filled"


def _hold_of(row: OrderRow) -> HoldRow:
    leaves = row.shares - row.matched_shares
    if row.side == "buy":
        return HoldRow(ANN, row.order_id, "USD", row.symbol, leaves, leaves * row.price_cents)
    return HoldRow(ANN, row.order_id, row.symbol, row.symbol, leaves, leaves)
