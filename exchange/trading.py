"""How orders trade: against the market's liquidity and against each other. Pure.

A print of the market brings liquidity at its price: its shares, at least a round lot. Resting
orders that the price has reached take from it first, by price, then time; what they leave stands
until the next print of that symbol, for orders that arrive. An arriving order trades at the best
price first: members' resting orders, and the market's liquidity at the last price.
"""

import zlib
from collections.abc import Sequence
from typing import Final

import msgspec

from exchange.book import Book, allows
from exchange.directory import Security
from exchange.market import Print
from exchange.protocol import DayStart, DayStatistics, Trade
from exchange.records import LIVE, Order
from exchange.registry import Registry

ROUND_LOT_SHARES: Final = 100


class SymbolState(msgspec.Struct):
    """One symbol: the liquidity that stands, the day so far, and whether trading is halted.

    `market_cents` is the price of the market's last print, where `liquidity_shares` stand;
    `price_cents` that of the last public trade, which members may have made among themselves.
    """

    symbol: str
    market_cents: int = 0
    liquidity_shares: int = 0
    seq: int = 0
    price_cents: int = 0
    open_cents: int = 0
    high_cents: int = 0
    low_cents: int = 0
    volume: int = 0
    at_ms: int = 0
    halted: bool = False


class TradingState(msgspec.Struct):
    """All of the floor but its books: they follow from the live orders."""

    symbols: list[SymbolState]
    trade_seq: int
    prints_checksum: int


class Floor:
    """The books and the liquidity of every symbol; collects the public trades it makes."""

    def __init__(self, securities: Sequence[Security], registry: Registry) -> None:
        self._registry = registry
        self._states = [SymbolState(security.symbol) for security in securities]
        self._by_symbol = {state.symbol: state for state in self._states}
        self._books: dict[str, Book] = {}
        self.trade_seq = 0
        self.prints_checksum = 0
        self.trades: list[Trade | DayStart] = []

    def symbol(self, name: str) -> SymbolState | None:
        """Return a symbol's state, None if it is not listed."""
        return self._by_symbol.get(name)

    def book(self, symbol: str) -> Book:
        """Return the resting orders of a symbol."""
        found = self._books.get(symbol)
        if found is None:
            found = self._books[symbol] = Book()
        return found

    def halted(self) -> list[str]:
        """Return the symbols in which trading is halted."""
        return [state.symbol for state in self._states if state.halted]

    def statistics(self) -> list[DayStatistics]:
        """Return the day so far of every symbol that has traded."""
        return [
            DayStatistics(
                symbol=state.symbol,
                seq=state.seq,
                price_cents=state.price_cents,
                open_cents=state.open_cents,
                high_cents=state.high_cents,
                low_cents=state.low_cents,
                volume=state.volume,
                at_ms=state.at_ms,
            )
            for state in self._states
            if state.seq
        ]

    def show(self, printed: Print, at_ms: int) -> None:
        """Take in one print of the market: a public trade, and fills of the orders it reaches.

        A halted symbol prints nothing.
        """
        if printed.opens_day:
            self._start_day(at_ms)
        index, price_cents, shares, recorded_at_ms, _ = printed
        state = self._states[index]
        # Halted prints are counted too: the checksum proves the market, whatever we do with it.
        self.prints_checksum = zlib.crc32(
            b"%d,%d,%d;" % (index, price_cents, shares), self.prints_checksum
        )
        if state.halted:
            return
        state.market_cents = price_cents
        self._trade(state, price_cents, shares, at_ms, recorded_at_ms)
        liquidity_shares = max(shares, ROUND_LOT_SHARES)
        book = self._books.get(state.symbol)
        if book is not None:
            for side in (book.buys, book.sells):
                while liquidity_shares and (order := side.best()) and allows(order, price_cents):
                    filled = min(order.leaves_shares, liquidity_shares)
                    liquidity_shares -= filled
                    self._fill(order, price_cents, filled, at_ms)
        state.liquidity_shares = liquidity_shares

    def enter(self, order: Order, at_ms: int, at_most_shares: int | None = None) -> None:
        """Let an order trade at once, up to `at_most_shares`; then it rests or ends."""
        state = self._by_symbol[order.symbol]
        book = self.book(order.symbol)
        self._registry.counters.rank += 1
        order.rank = self._registry.counters.rank
        self._registry.changed(order)
        left = order.leaves_shares if at_most_shares is None else at_most_shares
        opposite = book.opposite_of(order)
        while order.leaves_shares and left > 0:
            wanted = min(order.leaves_shares, left)
            other = opposite.best()
            if other is not None and not allows(order, other.price_cents):
                other = None
            has_market = state.liquidity_shares > 0 and allows(order, state.market_cents)
            # At the same price a member's order comes first: it was there before the print.
            if other is not None and (not has_market or allows(other, state.market_cents)):
                filled = min(wanted, other.leaves_shares)
                price_cents = meeting_price_cents(order, other, state.market_cents)
                self._registry.execute(order, price_cents, filled, at_ms)
                self._fill(other, price_cents, filled, at_ms)
                self._trade(state, price_cents, filled, at_ms, None)
            elif has_market:
                filled = min(wanted, state.liquidity_shares)
                state.liquidity_shares -= filled
                self._registry.execute(order, state.market_cents, filled, at_ms)
            else:
                break
            left -= filled
        if order.leaves_shares:
            if order.time_in_force == "ioc":
                order.status = "cancelled"
                order.reason = "immediate or cancel"
            else:
                book.side_of(order).add(order)

    def leave(self, order: Order) -> None:
        """Take a live order off its book."""
        if order.rank:
            self.book(order.symbol).side_of(order).remove(order)

    def state(self) -> TradingState:
        """Return what a checkpoint keeps; shares its records with the floor."""
        return TradingState(self._states, self.trade_seq, self.prints_checksum)

    def restore(self, state: TradingState, live_orders: Sequence[Order]) -> None:
        """Go on from a checkpoint.

        Raises:
            ValueError: the checkpoint is of other symbols.
        """
        if [kept.symbol for kept in state.symbols] != [own.symbol for own in self._states]:
            raise ValueError("the checkpoint lists other symbols")
        self._states = state.symbols
        self._by_symbol = {kept.symbol: kept for kept in state.symbols}
        self.trade_seq = state.trade_seq
        self.prints_checksum = state.prints_checksum
        for order in sorted(live_orders, key=lambda order: order.rank):
            if order.rank and order.status == LIVE:
                self.book(order.symbol).side_of(order).add(order)

    def _fill(self, order: Order, price_cents: int, shares: int, at_ms: int) -> None:
        self._registry.execute(order, price_cents, shares, at_ms)
        if order.leaves_shares == 0:
            self.leave(order)

    def _trade(
        self,
        state: SymbolState,
        price_cents: int,
        shares: int,
        at_ms: int,
        recorded_at_ms: int | None,
    ) -> None:
        self.trade_seq += 1
        state.seq = self.trade_seq
        state.price_cents = price_cents
        state.at_ms = at_ms
        if state.volume == 0:
            state.open_cents = state.high_cents = state.low_cents = price_cents
        elif price_cents > state.high_cents:
            state.high_cents = price_cents
        elif price_cents < state.low_cents:
            state.low_cents = price_cents
        state.volume += shares
        self.trades.append(
            Trade(self.trade_seq, state.symbol, price_cents, shares, at_ms, recorded_at_ms)
        )

    def _start_day(self, at_ms: int) -> None:
        for state in self._states:
            state.volume = 0
        self.trades.append(DayStart(trade_seq=self.trade_seq, at_ms=at_ms))


def meeting_price_cents(one: Order, other: Order, last_cents: int) -> int:
    """Return where two members' orders meet: the last price, or the nearest both limits allow."""
    buy, sell = (one, other) if one.side == "buy" else (other, one)
    return max(sell.price_cents, min(buy.price_cents, last_cents))
