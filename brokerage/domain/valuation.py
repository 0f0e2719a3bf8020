"""What an account was worth over time, of what it had and of what a share was worth.

Nothing of it is kept anywhere. The ledger says what the user had at any time; bars say what a share
was worth, and between bars the last close stands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
    _accumulate(cash)
    _accumulate(put_in)
    values = list(cash)
    unpriced: list[list[str]] = [[] for _ in range(count)]
    for symbol, moves in sorted(by_symbol.items()):
        worth = _worth(line, moves, closes.get(symbol, ()), live_prices_cents.get(symbol))
        for step, cents in enumerate(worth):
            if cents is None:
                unpriced[step].append(symbol)
            else:
                values[step] += cents
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
    count = len(line.points)
    shares, costed, cost_cents = [0] * count, [0] * count, [0] * count
    for flow in moves:
        shares[flow.step] += flow.amount
        costed[flow.step] += flow.costed
        cost_cents[flow.step] += flow.cost_cents
    for amounts in (shares, costed, cost_cents):
        _accumulate(amounts)
    worth: list[int | None] = []
    price: int | None = None
    for step in range(count):
        if step < len(closes) and closes[step] is not None:
            price = closes[step]
        is_opening = step == 0 and line.from_opening and costed[0] > 0
        if not shares[step]:
            worth.append(0)
        elif step == count - 1 and live_cents is not None:
            worth.append(shares[step] * live_cents)
        elif price is not None and not is_opening:
            worth.append(shares[step] * price)
        elif costed[step] > 0:
            # At the opening itself no close is as new as the price it was posted at.
            worth.append(shares[step] * cost_cents[step] // costed[step])
        else:
            worth.append(None)
    return worth


def _accumulate(amounts: list[int]) -> None:
    for step in range(1, len(amounts)):
        amounts[step] += amounts[step - 1]
