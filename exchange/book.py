"""The resting orders of one symbol, by price, then time. Pure: no clock, no messages, no money."""

from bisect import insort
from collections.abc import Iterator

from exchange.records import Order


class BookSide:
    """The resting orders of one side, best price first, the earlier first within a price."""

    def __init__(self, *, is_buy: bool) -> None:
        # Prices are kept negated for buys, so that the first key is the best one on both sides.
        self._sign = -1 if is_buy else 1
        self._keys: list[int] = []
        self._levels: dict[int, dict[int, Order]] = {}

    def __len__(self) -> int:
        return sum(len(level) for level in self._levels.values())

    def __iter__(self) -> Iterator[Order]:
        for key in self._keys:
            yield from self._levels[key].values()

    def best(self) -> Order | None:
        """Return the order that trades next, or None on an empty side."""
        if not self._keys:
            return None
        return next(iter(self._levels[self._keys[0]].values()))

    def add(self, order: Order) -> None:
        """Put an order behind all others of its price."""
        key = self._sign * order.price_cents
        level = self._levels.get(key)
        if level is None:
            insort(self._keys, key)
            level = self._levels[key] = {}
        level[order.number] = order

    def remove(self, order: Order) -> None:
        """Take an order off.

        Raises:
            KeyError: the order does not rest here.
        """
        key = self._sign * order.price_cents
        level = self._levels[key]
        del level[order.number]
        if not level:
            del self._levels[key]
            self._keys.remove(key)


class Book:
    """Both sides of one symbol."""

    def __init__(self) -> None:
        self.buys = BookSide(is_buy=True)
        self.sells = BookSide(is_buy=False)

    def side_of(self, order: Order) -> BookSide:
        """Return the side where the order rests, or would."""
        return self.buys if order.side == "buy" else self.sells

    def opposite_of(self, order: Order) -> BookSide:
        """Return the side the order trades against."""
        return self.sells if order.side == "buy" else self.buys


def allows(order: Order, price_cents: int) -> bool:
    """Whether the order may trade at this price: no buy above its limit, no sell below."""
    if order.side == "buy":
        return price_cents <= order.price_cents
    return price_cents >= order.price_cents
