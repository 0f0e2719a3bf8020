"""What an account was worth over time, of what it had and of what a share was worth.

Nothing of it is kept anywhere. The ledger says what the user had at any time; bars say what a share
was worth, and between bars the last close stands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import NamedTuple

from brokerage.domain.ledger import CASH
from brokerage.domain.timeline import Timeline


class Flow(NamedTuple):
    """What a user's entries of one asset add up to, from after one point until the next one.

    `step` is the index of the point that first has them, `amount` is cents or shares. `given` of it
    came without an order (an opening, an adjustment): `costed` shares of that at `cost_cents`, and,
    where `uncosted`, others at a cost that nobody knows.
    """

    asset: str
    step: int
    amount: int
    given: int = 0
    costed: int = 0
    cost_cents: int = 0
    uncosted: bool = False


@dataclass(frozen=True, slots=True)
class ValuePoint:
    """The account at one time, in cents.

    `value_cents` is None where shares of `unpriced` symbols were held: nobody knew their price.
    `profit_cents` is the value less all that was put in by then; None also where a cost is unknown.
    """

    at: datetime
    value_cents: int | None
    cash_cents: int
    profit_cents: int | None
    unpriced: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class History:
    """An account's value over time; `uncosted` symbols were put in at a cost that is unknown."""

    points: list[ValuePoint]
    uncosted: list[str]


Closes = Mapping[str, Sequence[int | None]]
"""By symbol, for each point: the last close since the point before, None if there was none. The
first one is the last close of all that came before it."""


def value_history(
    line: Timeline, flows: Sequence[Flow], closes: Closes, live_prices_cents: Mapping[str, int]
) -> History:
    """The account at each point of `line`; the last one at the live prices where there are any."""
    count = len(line.points)
    cash, put_in, uncosted_from = [0] * count, [0] * count, count
    by_symbol: dict[str, list[Flow]] = {}
    for flow in flows:
        if flow.asset == CASH:
            cash[flow.step] += flow.amount
            put_in[flow.step] += flow.given
        else:
            by_symbol.setdefault(flow.asset, []).append(flow)
            put_in[flow.step] += flow.cost_cents
            if flow.uncosted:
                uncosted_from = min(uncosted_from, flow.step)
    cash, put_in = list(accumulate(cash)), list(accumulate(put_in))
    values = cash
    unpriced: list[list[str]] = [[] for _ in range(count)]
    for symbol, moves in sorted(by_symbol.items()):
        worth = _worth(line, moves, closes.get(symbol, ()), live_prices_cents.get(symbol))
        for step in _unknown(worth):
            unpriced[step].append(symbol)
        values = [value + (cents or 0) for value, cents in zip(values, worth, strict=True)]
    points = [
        ValuePoint(
            at=at,
            value_cents=None if unpriced[step] else values[step],
            cash_cents=cash[step],
            profit_cents=None
            if unpriced[step] or step >= uncosted_from
            else values[step] - put_in[step],
            unpriced=tuple(unpriced[step]),
        )
        for step, at in enumerate(line.points)
    ]
    uncosted = {flow.asset for flow in flows if flow.uncosted}
    return History(points, sorted(uncosted))


def _worth(
    line: Timeline, moves: Sequence[Flow], closes: Sequence[int | None], live_cents: int | None
) -> list[int | None]:
    """What the shares of one symbol were worth at each point; None where no price was known."""
    moved = [0] * len(line.points)
    for flow in moves:
        moved[flow.step] += flow.amount
    shares = list(accumulate(moved))
    prices = _carried(closes, len(shares))
    if live_cents is not None:
        prices[-1] = live_cents
    worth = [
        0 if not held else None if price is None else held * price
        for held, price in zip(shares, prices, strict=True)
    ]
    # At the opening itself no close is as new as the price that shares were posted at.
    at_cost = [*_unknown(worth), *([0] if line.from_opening and len(worth) > 1 else [])]
    if at_cost and any(flow.costed for flow in moves):
        _fill_in_costs(at_cost, moves, shares, worth)
    return worth


def _unknown(worth: Sequence[int | None]) -> list[int]:
    """The points without a worth; mostly there is none, and then this is quick."""
    if None not in worth:
        return []
    return [step for step, cents in enumerate(worth) if cents is None]


def _carried(closes: Sequence[int | None], count: int) -> list[int | None]:
    """For each point the last close known by then."""
    prices: list[int | None] = [*closes] if closes else [None] * count
    if None not in prices:
        return prices
    last: int | None = None
    for step, close in enumerate(closes):
        if close is not None:
            last = close
        prices[step] = last
    return prices


def _fill_in_costs(
    steps: Sequence[int], moves: Sequence[Flow], shares: Sequence[int], worth: list[int | None]
) -> None:
    """Value shares at their cost, as far as it is known, at these points."""
    costed, cost_cents = [0] * len(worth), [0] * len(worth)
    for flow in moves:
        costed[flow.step] += flow.costed
        cost_cents[flow.step] += flow.cost_cents
    costed, cost_cents = list(accumulate(costed)), list(accumulate(cost_cents))
    for step in steps:
        if costed[step] > 0:
            worth[step] = shares[step] * cost_cents[step] // costed[step]
