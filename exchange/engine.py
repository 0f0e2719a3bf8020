"""The deterministic core: (market position, time, input) -> outcome. No clock, no I/O."""

from collections.abc import Sequence
from typing import Final

import msgspec

from exchange import administration
from exchange.directory import Security
from exchange.inputs import (
    Advance,
    Cancel,
    CancelAll,
    Entry,
    Outcome,
    Place,
    Reply,
)
from exchange.market import Market, MarketState
from exchange.protocol import CancelReply, MassCancelReply, PlacementReply
from exchange.records import LIVE, MemberState, Order
from exchange.registry import Counters, Registry
from exchange.trading import Floor, TradingState

SHARES_MAX: Final = 10_000_000
PRICE_CENTS_MAX: Final = 100_000_000
MASS_CANCELLED: Final = "cancelled with all others"


class EngineState(msgspec.Struct):
    """A checkpoint: everything but what the archive has. `orders` are the live ones."""

    input_number: int
    market: MarketState
    trading: TradingState
    counters: Counters
    members: dict[str, MemberState]
    orders: list[Order]


class Engine:
    """Applies inputs one after the other, each at its market position."""

    def __init__(self, securities: Sequence[Security], market: Market, registry: Registry) -> None:
        self.market = market
        self.registry = registry
        self.floor = Floor(securities, registry)
        self.input_number = 0

    def run_until(self, market_ms: int, print_max: int, at_ms: int) -> int:
        """Take in the prints due at `market_ms`, at most `print_max`; return how many."""
        left = self.market.prints_left
        print_max = print_max if left is None else min(print_max, left)
        count = 0
        market, show = self.market, self.floor.show
        while count < print_max and market.next_ms <= market_ms:
            show(market.take(), at_ms)
            count += 1
        return count

    def run_to(self, position: int, at_ms: int) -> None:
        """Take in the prints up to a position; its public trades are history, and dropped."""
        for _ in range(position - self.market.position):
            self.floor.show(self.market.take(), at_ms)
            self.floor.trades.clear()

    def note_advance(self, at_ms: int) -> tuple[Entry, Outcome] | None:
        """Return a line for the journal if the prints since the last one reached any order."""
        if not self.registry.messages:
            return None
        entry = Entry(self.input_number + 1, self.market.position, at_ms, "", Advance())
        return entry, self.apply(entry)

    def apply(self, entry: Entry) -> Outcome:
        """Apply one input at the position the market has reached, and say what came of it."""
        self.input_number = entry.number
        reply = self._apply(entry)
        return Outcome(
            input=entry.number,
            position=self.market.position,
            at_ms=entry.at_ms,
            trade_seq=self.floor.trade_seq,
            prints_checksum=self.floor.prints_checksum,
            reply=reply,
            messages=self.registry.take_messages(),
        )

    def replay(self, entry: Entry) -> Outcome:
        """Bring the market to where the entry was applied, then apply it."""
        self.run_to(entry.position, entry.at_ms)
        return self.apply(entry)

    def state(self, *, with_orders: bool = True) -> EngineState:
        """Return a checkpoint; encode it at once, it shares its records with the engine.

        Whoever keeps the live orders elsewhere, leaves them out.
        """
        return EngineState(
            input_number=self.input_number,
            market=self.market.state(),
            trading=self.floor.state(),
            counters=self.registry.counters,
            members=self.registry.members,
            orders=self.registry.live_orders() if with_orders else [],
        )

    def restore(self, state: EngineState) -> None:
        """Go on from a checkpoint.

        Raises:
            ValueError: it belongs to another market.
        """
        self.input_number = state.input_number
        self.market.restore(state.market)
        self.registry.restore(state.counters, state.members, state.orders)
        self.floor.restore(state.trading, state.orders)

    def _apply(self, entry: Entry) -> Reply | None:
        match entry.input:
            case Place() as place:
                return self._place(entry.member, place, entry.at_ms)
            case Cancel() as cancel:
                return self._cancel(entry.member, cancel)
            case CancelAll() as cancel_all:
                return self._cancel_all(entry.member, cancel_all, entry.at_ms)
            case Advance():
                return None
            case own:
                return administration.carry_out(self.registry, self.floor, own, entry.at_ms)

    def _place(self, member: str, place: Place, at_ms: int) -> PlacementReply:
        placement = place.placement
        known = self.registry.order_by_client_id(member, placement.client_order_id)
        if known is not None:
            return _repeat(known, place)
        refusal = self._refusal(member, place, at_ms)
        order = self.registry.new_order(member, placement, at_ms)
        if refusal is not None:
            order.status = "rejected"
            order.leaves_shares = 0
            order.code, order.reason = refusal
        elif place.hold_until_ms:
            order.held = True
            order.release_at_ms = place.hold_until_ms
        else:
            self.floor.enter(order, at_ms, place.first_fill_shares)
        return _reply(order)

    def _refusal(self, member: str, place: Place, at_ms: int) -> tuple[str, str] | None:
        """Return code and reason why a new placement is refused, None if it is not."""
        placement = place.placement
        symbol = self.floor.symbol(placement.symbol)
        if self.registry.is_cancelled_ahead(member, placement.client_order_id):
            return "cancelled-before-placed", "a cancel for this id came first"
        if at_ms > placement.send_by_ms:
            return "past-send-by", f"arrived {at_ms - placement.send_by_ms} ms past its sendBy"
        if symbol is None:
            return "unknown-symbol", "no such symbol is listed"
        if not 0 < placement.shares <= SHARES_MAX:
            return "invalid-terms", f"shares must be from 1 to {SHARES_MAX}"
        if not 0 < placement.price_cents <= PRICE_CENTS_MAX:
            return "invalid-terms", f"the price must be from 1 to {PRICE_CENTS_MAX} cents"
        if place.market_closed:
            return "market-closed", "the market is open from 09:30 to 16:00, New York"
        if symbol.halted:
            return "halted", "trading in the symbol is halted"
        if place.refuse_reason is not None:
            return place.refuse_code, place.refuse_reason
        return None

    def _cancel(self, member: str, cancel: Cancel) -> CancelReply:
        named = cancel.cancellation
        order: Order | None
        if named.client_order_id is not None:
            order = self.registry.order_by_client_id(member, named.client_order_id)
            if order is None:
                if not self.registry.is_cancelled_ahead(member, named.client_order_id):
                    self.registry.cancel_ahead(member, named.client_order_id)
                return CancelReply("unknown-remembered")
        else:
            order = self.registry.order(named.order_id or "")
            if order is None or order.member != member:
                return CancelReply("refused", None, "unknown-order", "no order has this id")
        if order.status == "cancelled":
            return CancelReply("cancelled", order.report())
        if order.status != LIVE:
            reason = f"the order is {order.status}"
            return CancelReply("too-late", order.report(), "too-late", reason)
        if cancel.refuse_reason is not None:
            return CancelReply("refused", order.report(), "refused", cancel.refuse_reason)
        self._take_off(order)
        return CancelReply("cancelled", order.report())

    def _cancel_all(self, member: str, cancel_all: CancelAll, at_ms: int) -> MassCancelReply:
        account, symbol = cancel_all.selection.account, cancel_all.selection.symbol
        cancelled = []
        for order in self.registry.live_orders():
            if order.member != member:
                continue
            if account in (None, order.account) and symbol in (None, order.symbol):
                self._take_off(order)
                # Not each was asked for by name: who asked may not know all of them.
                self.registry.tell_end(order, MASS_CANCELLED, at_ms)
                cancelled.append(order.report())
        return MassCancelReply(cancelled)

    def _take_off(self, order: Order) -> None:
        self.floor.leave(order)
        order.status = "cancelled"
        order.reason = "cancelled by the member"
        self.registry.changed(order)


def _reply(order: Order) -> PlacementReply:
    if order.status == "rejected":
        return PlacementReply(
            order.client_order_id, "refused", order.report(), order.code, order.reason
        )
    return PlacementReply(order.client_order_id, "accepted", order.report())


def _repeat(known: Order, place: Place) -> PlacementReply:
    """Answer a placement whose id was used before: the same order, as it is now."""
    if not known.has_terms_of(place.placement):
        return PlacementReply(
            known.client_order_id,
            "refused",
            known.report(),
            "terms-differ",
            "the id was used with other terms",
        )
    return _reply(known)
