"""What the demo's users want, drawn from a seed: the same seed is the same wishes."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

RECORDED: Final = ("SPY", "IBM", "AIG", "BAC")
"""The symbols of the tape; a development account has shares of each to sell."""
WALKING: Final = ("AAPL", "MSFT", "GE", "META", "PFE")
RECORDED_SHARE: Final = 0.9
SHARES_MAX: Final = {"SPY": 12, "IBM": 12, "AIG": 40, "BAC": 600, "AAPL": 4}
"""Sizes that fifty orders of a user can pay for; BAC's often exceed what a print has to offer."""
SHARES_MAX_OTHERWISE: Final = 20

Kind = Literal["market", "marketable", "near", "far"]
KINDS: Final[dict[Kind, float]] = {"market": 0.35, "marketable": 0.2, "near": 0.3, "far": 0.15}
"""How many of each: a limit past the price trades at once, one near it waits, one far rests."""
OFFSETS: Final[dict[Kind, tuple[float, float]]] = {
    "market": (0.0, 0.0),
    "marketable": (0.002, 0.01),
    "near": (-0.0015, 0.0002),
    "far": (-0.08, -0.02),
}
"""By which part of the last price the limit is better for the other side, from and to."""
CANCEL_CHANCE: Final[dict[Kind, float]] = {
    "market": 0.02,
    "marketable": 0.05,
    "near": 0.25,
    "far": 0.5,
}
RACING: Final[Sequence[Kind]] = ("market", "marketable")
"""What trades at once: a cancel sent with such an order meets its fill."""
RACE_SECONDS: Final = (0.2, 0.7)
"""When a racing cancel leaves after its order was sent, earliest and latest: around a late fill."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One order a user will place; the limit is `offset` past the last price at that moment.

    With `cancel_after_seconds` the user changes their mind that much later: than the answer, or,
    with `races`, than the request, whose answer is not waited for.
    """

    user: str
    key: UUID
    side: Literal["buy", "sell"]
    symbol: str
    shares: int
    kind: Kind
    offset: float
    cancel_after_seconds: float | None
    races: bool = False

    def limit_cents(self, last_price_cents: int) -> int | None:
        """Return the limit at this last price, None for a market order."""
        if self.kind == "market":
            return None
        sign = 1 if self.side == "buy" else -1
        return max(1, round(last_price_cents * (1 + sign * self.offset)))


def draw_wishes(
    users: int, orders: int, seed: int, prefix: str = "demo", races: float = 0.0
) -> list[Wish]:
    """Return `orders` wishes of `users` users, named `<prefix>-<seed>-1` and on, in turns.

    `races` is the part of them, of 1, whose cancel races their fill.
    """
    chance = random.Random(seed)
    return [
        _wish(f"{prefix}-{seed}-{number % users + 1}", chance, races) for number in range(orders)
    ]


def _wish(user: str, chance: random.Random, races: float) -> Wish:
    recorded = chance.random() < RECORDED_SHARE
    symbol = chance.choice(RECORDED if recorded else WALKING)
    is_race = chance.random() < races
    kinds: Sequence[Kind] = RACING if is_race else list(KINDS)
    kind = chance.choices(kinds, [KINDS[one] for one in kinds])[0]
    if is_race:
        cancel_after_seconds: float | None = chance.uniform(*RACE_SECONDS)
    elif chance.random() < CANCEL_CHANCE[kind]:
        cancel_after_seconds = chance.uniform(0.0, 2.0)
    else:
        cancel_after_seconds = None
    return Wish(
        user=user,
        key=UUID(int=chance.getrandbits(128), version=4),
        side=chance.choice(("buy", "sell")) if recorded else "buy",
        symbol=symbol,
        shares=chance.randint(1, SHARES_MAX.get(symbol, SHARES_MAX_OTHERWISE)),
        kind=kind,
        offset=chance.uniform(*OFFSETS[kind]),
        cancel_after_seconds=cancel_after_seconds,
        races=is_race,
    )
