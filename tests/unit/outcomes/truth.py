"""What must hold of an order that had a bad day: it is what the exchange says, to the cent."""

from typing import Any, Final

from brokerage.contracts.commands import StartOrder
from brokerage.contracts.placements import SEND_BY_SECONDS
from brokerage.domain.ledger import LedgerAccount
from brokerage.domain.orders import Order
from brokerage.storage.rows import order_from
from exchange.protocol import OrderReport
from tests.unit.outcomes.chance import Chance
from tests.unit.outcomes.exchange import MEMBER, SYMBOL, SimulatedExchange
from tests.unit.outcomes.postgres import MemoryPostgres, cash_of

CASH_CENTS: Final = 10_000_000
SHARES: Final = 500


def send_by_ms(start: StartOrder) -> int:
    """When an order may be sent no more."""
    return start.claimed_at_ms + SEND_BY_SECONDS * 1000


class Truth:
    """Compares our rows with the exchange's records."""

    def __init__(
        self,
        chance: Chance,
        exchange: SimulatedExchange,
        postgres: MemoryPostgres,
        start: StartOrder,
    ) -> None:
        self._chance = chance
        self._exchange = exchange
        self._postgres = postgres
        self._start = start
        self._cancel_wanted = False

    def _order(self) -> Order | None:
        row: Any = self._postgres.rows.orders.get(self._start.order_id)
        return None if row is None else order_from(row)

    def _check(self, holds: bool, what: str) -> None:
        if not holds:
            self._chance.promise_broken(what)

    def check_answered(self, cancel_wanted: bool) -> None:
        """Nothing is unknown any more, and our row says what the exchange says."""
        self._cancel_wanted = cancel_wanted
        order, truth = self._order(), self._exchange.own_order(self._start.order_id)
        if order is None:
            self._chance.promise_broken("there is no row")
            return
        self._chance.note(f"answered: {order.status}, exchange: {truth and truth.status}")
        self._check(order.status not in ("pending", "pending_cancel"), f"still {order.status}")
        self._check_same(order, truth)

    def check_ended(self, cancel_wanted: bool, result: str | None) -> None:
        """So it is after the end; `result` is the workflow's."""
        self._cancel_wanted = cancel_wanted
        order, truth = self._order(), self._exchange.own_order(self._start.order_id)
        assert order is not None
        self._chance.note(f"ended: {order.status}, exchange: {truth and truth.status}")
        self._chance.fired[f"ended {order.status}"] += 1
        self._check(order.is_settled, f"not settled: {order}")
        self._check(result == order.status, "the workflow has not ended")
        self._check_same(order, truth)
        self._check_money(order)

    def _check_same(self, order: Order, truth: OrderReport | None) -> None:
        registry = self._exchange.engine.registry
        placed = registry.member(MEMBER).orders
        self._check(placed <= 1, f"{placed} orders at the exchange")
        buried = registry.is_cancelled_ahead(MEMBER, self._start.order_id)
        if truth is None:
            late = order.reason == "not-sent-in-time"
            expected = {"rejected"} if late else {"cancelled" if self._cancel_wanted else "failed"}
            if self._cancel_wanted:
                expected |= {"failed"}
            self._check(buried or late, "the exchange would still accept it")
        elif truth.status == "rejected":
            expected = {"rejected"} | ({"cancelled"} if self._cancel_wanted else set())
            if buried:
                expected |= {"failed"}
        elif truth.status == "open":
            expected = {"submitted", "partially_filled"}
        else:
            expected = {truth.status}
            if truth.status == "cancelled" and truth.reason == "cancelled by the member":
                self._check(self._cancel_wanted, "cancelled, and nobody wanted that")
        self._check(order.status in expected, f"{order.status}, and not {expected}")
        if truth is None or truth.status == "rejected":
            return
        self._check(truth.placed_at_ms <= send_by_ms(self._start), "accepted after its send-by")
        self._check(order.external_order_id == truth.order_id, "under another id")
        self._check(
            (order.executed_shares, order.filled_shares, order.filled_notional_cents)
            == (truth.cumulative_shares, truth.cumulative_shares, truth.cumulative_notional_cents),
            f"executed {order.executed_shares}, truth {truth.cumulative_shares}",
        )

    def _check_money(self, order: Order) -> None:
        rows = self._postgres.rows
        sign = 1 if order.side == "buy" else -1
        filled, notional = sign * order.filled_shares, sign * order.filled_notional_cents
        self._check(
            (rows.cash_cents, rows.shares[SYMBOL]) == (CASH_CENTS - notional, SHARES + filled),
            "balances are not what was filled",
        )
        held = (rows.held_cents, rows.held_shares[SYMBOL], rows.holds.get(self._start.order_id, 0))
        self._check(held == (0, 0, 0), f"an order that ended holds {held}")
        for asset in {leg.asset for leg in rows.ledger}:
            total = sum(leg.amount for leg in rows.ledger if leg.asset == asset)
            self._check(total == 0, f"{asset} is off by {total}")
        self._check(cash_of(rows, LedgerAccount.CLEARING) == notional, "clearing is off")
        status = rows.replies.get(self._start.idempotency_key, (None, None))[0]
        if order.status == "failed":
            self._check(status == 422, f"the kept reply of a failed order is {status}")
        elif order.status != "rejected":
            self._check(status == 201, f"the kept reply is {status}")
