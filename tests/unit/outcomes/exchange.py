"""The exchange's own engine behind its HTTP interface, on a network that loses, delays, repeats."""

import asyncio
from collections.abc import Callable
from typing import Final

import httpx
import msgspec

from exchange.directory import Security
from exchange.engine import Engine
from exchange.inputs import (
    BustExecution,
    Cancel,
    CorrectExecution,
    EndDay,
    EndOrder,
    Entry,
    Input,
    Outcome,
    Place,
)
from exchange.market import Market
from exchange.protocol import (
    VISIBILITY_SECONDS,
    Cancellation,
    Execution,
    MemberMessage,
    OrderReport,
    Placement,
    PlacementBatch,
    PlacementBatchReply,
    PlacementReply,
    Problem,
)
from exchange.registry import Registry
from exchange.tape import Tape
from tests.unit.outcomes.chance import Chance
from tests.unit.outcomes.virtual_time import wall_ms

MEMBER: Final = "sherwood"
SYMBOL: Final = "IBM"
EXCHANGE_FAULTS: Final = {"refuses an order": 1, "fills a part": 3}
CANCEL_FAULTS: Final = {"refuses a cancel": 1}
SECURITIES: Final = (Security(SYMBOL, "IBM Inc.", 20_000),)
WIRE_FAULTS: Final = {
    "the request is lost": 2,
    "the reply is lost": 3,
    "5xx before": 1,
    "5xx after": 2,
    "hangs before": 1,
    "hangs after": 2,
    "comes after we gave up": 3,
    "comes twice": 2,
    "unreadable": 1,
}


class SimulatedExchange:
    """Applies requests to the real engine; an accepted order may stay hidden from queries."""

    def __init__(self, chance: Chance, tell: Callable[[MemberMessage], None]) -> None:
        self.chance = chance
        market = Market(SECURITIES, Tape(), seed=1, walk_prints_per_second=1.0)
        self.engine = Engine(SECURITIES, market, Registry("V"))
        self._tell = tell
        self._visible_at: dict[str, float] = {}
        self._keeps_orders = False
        self._executions: list[Execution] = []
        self._busted: list[Execution] = []
        self.show(1)

    @property
    def price_cents(self) -> int:
        """The last price."""
        state = self.engine.floor.symbol(SYMBOL)
        assert state is not None
        return state.price_cents

    def show(self, prints: int) -> None:
        """Let the market go on by so many prints."""
        self.engine.run_until(2**62, prints, wall_ms())
        noted = self.engine.note_advance(wall_ms())
        if noted is not None:
            self._told(noted[1])

    def own_order(self, client_order_id: str) -> OrderReport | None:
        """What the exchange has under this id, hidden or not."""
        found = self.engine.registry.order_by_client_id(MEMBER, client_order_id)
        return None if found is None else found.report()

    def end(self, *, expired: bool) -> None:
        """End every live order of its own accord."""
        for order in self.engine.registry.live_orders():
            self.apply(EndOrder(order.order_id, expired, "the exchange ended it"))

    def amend(self) -> None:
        """Take an execution back, or correct its price, if there is one that stands."""
        standing = [one for one in self._executions if one not in self._busted]
        if not standing:
            return
        execution = self.chance.random.choice(standing)
        better = -1 if execution.side == "buy" else 1
        if self.chance.random.random() < 0.5:
            self._busted.append(execution)
            self.apply(BustExecution(execution.execution_id))
        else:
            price_cents = execution.price_cents + better
            one = CorrectExecution(execution.execution_id, price_cents, execution.shares)
            self.apply(one)

    def end_day(self) -> None:
        """Expire the day orders, and cancel the others."""
        self.apply(EndDay(wall_ms() + 1))
        self.end(expired=False)

    def apply(self, one: Input) -> Outcome:
        """Apply an input now."""
        entry = Entry(
            self.engine.input_number + 1, self.engine.market.position, wall_ms(), MEMBER, one
        )
        outcome = self.engine.apply(entry)
        self._told(outcome)
        return outcome

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, object]:
        """Carry a request out; status and body of the answer."""
        match method, path:
            case "POST", "/v1/orders":
                return 200, self._place(msgspec.json.decode(body, type=Placement))
            case "POST", "/v1/orders/batch":
                batch = msgspec.json.decode(body, type=PlacementBatch)
                return 200, PlacementBatchReply([self._place(one) for one in batch.orders])
            case "POST", "/v1/cancels":
                return 200, self._cancel(msgspec.json.decode(body, type=Cancellation))
            case "GET", _:
                return self._query(path.removeprefix("/v1/orders/"))
        raise AssertionError(f"no such route: {method} {path}")

    def _place(self, placement: Placement) -> PlacementReply:
        known = self.own_order(placement.client_order_id)
        refusal = self.chance.fate("exchange", EXCHANGE_FAULTS)
        reply = self.apply(
            Place(
                placement,
                refuse_reason="not today" if refusal == "refuses an order" else None,
                first_fill_shares=1 if refusal == "fills a part" else None,
            )
        ).reply
        assert isinstance(reply, PlacementReply)
        if known is None:
            hidden = self.chance.random.choice([0.0, self.chance.random.random(), 1.0, 1.0])
            self._visible_at[placement.client_order_id] = (
                asyncio.get_running_loop().time() + hidden * VISIBILITY_SECONDS
            )
        self.chance.note(f"exchange: place: {reply.outcome} {reply.code or ''}")
        return reply

    def _cancel(self, named: Cancellation) -> object:
        # A cancel that comes late, after a later one was refused, would end an order that everybody
        # holds for live: it has no `sendBy` that would forbid it. docs/decisions/0016 says so.
        fate = self.chance.fate("exchange", CANCEL_FAULTS)
        self._keeps_orders |= fate != "well"
        reply = self.apply(Cancel(named, "trading" if self._keeps_orders else None)).reply
        self.chance.note(f"exchange: cancel: {getattr(reply, 'outcome', None)}")
        return reply

    def _query(self, named: str) -> tuple[int, object]:
        client_id = named.removeprefix("by-client-id/")
        report = self.own_order(client_id)
        hidden_until = self._visible_at.get(client_id, 0.0)
        if report is None or asyncio.get_running_loop().time() < hidden_until:
            self.chance.note("exchange: query: 404")
            return 404, Problem(404, "unknown-order", "no order has this id")
        self.chance.note(f"exchange: query: {report.status}")
        return 200, report

    def _told(self, outcome: Outcome) -> None:
        for _, message in outcome.messages:
            if isinstance(message, Execution):
                self._executions.append(message)
            self.chance.fired[f"exchange: tells a {type(message).__name__.lower()}"] += 1
            self._tell(message)


class LossyNetwork(httpx.AsyncBaseTransport):
    """Between a gateway and the exchange; `on_placement` sees all that leaves the gateway."""

    def __init__(
        self, exchange: SimulatedExchange, on_placement: Callable[[Placement], None]
    ) -> None:
        self._exchange = exchange
        self._chance = exchange.chance
        self._on_placement = on_placement

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        method, path, body = request.method, request.url.path, request.content
        self._watch(path, body)
        await self._chance.passes()
        fate = self._chance.fate("wire", WIRE_FAULTS)
        match fate:
            case "the request is lost":
                raise httpx.ConnectError("lost")
            case "5xx before":
                return httpx.Response(503)
            case "hangs before":
                await asyncio.sleep(3_600)
            case "comes after we gave up":
                loop = asyncio.get_running_loop()
                loop.call_later(
                    self._chance.late_seconds(0.5, 60), self._exchange.answer, method, path, body
                )
                await asyncio.sleep(3_600)
            case "comes twice":
                loop = asyncio.get_running_loop()
                loop.call_later(
                    self._chance.late_seconds(0.1, 60), self._exchange.answer, method, path, body
                )
        status, content = self._exchange.answer(method, path, body)
        await self._chance.passes()
        match fate:
            case "the reply is lost":
                raise httpx.ReadError("lost")
            case "5xx after":
                return httpx.Response(502)
            case "hangs after":
                await asyncio.sleep(3_600)
            case "unreadable":
                return httpx.Response(200, content=b'{"outcome":')
        return httpx.Response(status, content=msgspec.json.encode(content))

    def _watch(self, path: str, body: bytes) -> None:
        if path == "/v1/orders":
            self._on_placement(msgspec.json.decode(body, type=Placement))
        elif path == "/v1/orders/batch":
            for placement in msgspec.json.decode(body, type=PlacementBatch).orders:
                self._on_placement(placement)
