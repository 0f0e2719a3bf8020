"""The market outside: position -> prints. Recorded symbols follow the tape, the others a walk.

A day of the market lasts `DAY_MS` of its own time and holds: one opening print of every symbol,
then the tape's trades and the walk's prints, merged by time. After a day comes the next one, with
the same tape and the walk going on. Everything follows from the seed and the position.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from exchange.directory import Security
from exchange.tape import Tape

DAY_MS: Final = 23_400_000
"""A day of the market: 09:30 to 16:00."""
_OPEN_MS: Final = 34_200_000
_OPENING_SHARES: Final = 100
_MASK: Final = (1 << 64) - 1


class Print(NamedTuple):
    """One trade of the market; `recorded_at_ms` is None for what no tape recorded."""

    symbol_index: int
    price_cents: int
    shares: int
    recorded_at_ms: int | None
    opens_day: bool


class MarketState(msgspec.Struct):
    """Where the market stands: all that is needed to go on from here."""

    position: int
    day: int
    opening: int
    tape_index: int
    walk_index: int
    walk_total: int
    walk_cents: list[int]


def scramble(value: int) -> int:
    """Return 64 well-mixed bits of `value` (the finalizer of splitmix64)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class Market:
    """Hands out the prints one after the other.

    `walk_prints_per_second` counts prints of all walking symbols together, per second of the
    market's own time. After `days_max` days the market stands still.
    """

    def __init__(
        self,
        securities: Sequence[Security],
        tape: Tape,
        *,
        seed: int,
        walk_prints_per_second: float,
        days_max: int | None = None,
    ) -> None:
        listed = {security.symbol: index for index, security in enumerate(securities)}
        missing = [symbol for symbol in tape.symbols if symbol not in listed]
        if missing:
            raise ValueError(f"the tape has symbols that are not listed: {', '.join(missing)}")
        self._tape = tape
        self._listed_of_tape = [listed[symbol] for symbol in tape.symbols]
        self._opening_cents = self._tape_opening_cents()
        recorded = set(self._listed_of_tape)
        self._walkers = [i for i in range(len(securities)) if i not in recorded]
        self._base_cents = [securities[i].base_cents for i in self._walkers]
        self._count = len(securities)
        self._walker_of = {listed_index: i for i, listed_index in enumerate(self._walkers)}
        self._salt = scramble(seed)
        rate = walk_prints_per_second if self._walkers else 0.0
        self._walk_per_day = int(rate * DAY_MS / 1000)
        per_day = self._count + len(tape) + self._walk_per_day
        self._prints_max = None if days_max is None else days_max * per_day
        self._state = MarketState(
            position=0,
            day=0,
            opening=0,
            tape_index=0,
            walk_index=0,
            walk_total=0,
            walk_cents=[self._start_cents(i) for i in range(len(self._walkers))],
        )
        self._next_ms = 0

    @property
    def position(self) -> int:
        """How many prints were taken."""
        return self._state.position

    @property
    def prints_left(self) -> int | None:
        """How many prints there will be before the market stands still; None: it never does."""
        if self._prints_max is None:
            return None
        return max(0, self._prints_max - self._state.position)

    @property
    def next_ms(self) -> int:
        """When the next print is due, in the market's own time since its first opening."""
        return self._next_ms

    def state(self) -> MarketState:
        """Return a copy of where the market stands."""
        state = self._state
        return MarketState(
            position=state.position,
            day=state.day,
            opening=state.opening,
            tape_index=state.tape_index,
            walk_index=state.walk_index,
            walk_total=state.walk_total,
            walk_cents=list(state.walk_cents),
        )

    def restore(self, state: MarketState) -> None:
        """Go on from a state that `state()` returned."""
        self._state = state
        self._next_ms = self._due_ms()

    def take(self) -> Print:
        """Return the next print and move on."""
        state = self._state
        state.position += 1
        if state.opening < self._count:
            taken = self._take_opening(state)
        else:
            tape, index = self._tape, state.tape_index
            if index < len(tape) and tape.times_ms[index] - _OPEN_MS <= self._walk_due_ms(state):
                state.tape_index += 1
                recorded = tape.midnight_ms
                taken = Print(
                    self._listed_of_tape[tape.symbol_indexes[index]],
                    tape.prices_cents[index],
                    tape.shares[index],
                    None if recorded is None else recorded + tape.times_ms[index],
                    False,
                )
            else:
                taken = self._take_walk(state)
        if (
            state.opening >= self._count
            and state.tape_index >= len(self._tape)
            and state.walk_index >= self._walk_per_day
        ):
            state.day += 1
            state.opening = state.tape_index = state.walk_index = 0
        self._next_ms = self._due_ms()
        return taken

    def _take_opening(self, state: MarketState) -> Print:
        index = state.opening
        state.opening += 1
        walker = self._walker_of.get(index)
        cents = self._opening_cents[index] if walker is None else state.walk_cents[walker]
        return Print(index, cents, _OPENING_SHARES, None, index == 0)

    def _take_walk(self, state: MarketState) -> Print:
        chance = scramble(self._salt ^ (state.walk_total + 1))
        state.walk_index += 1
        state.walk_total += 1
        walker = chance % len(self._walkers)
        cents, base_cents = state.walk_cents[walker], self._base_cents[walker]
        # A step is a few hundredths of a percent; far from its base, steps lean back towards it.
        step = ((chance >> 20) % 7 - 3) * max(1, cents // 8_000)
        if cents * 5 > base_cents * 6:
            step = -abs(step)
        elif cents * 5 < base_cents * 4:
            step = abs(step)
        cents = state.walk_cents[walker] = max(1, cents + step)
        shares = 100 * (1 + (chance >> 32) % 8)
        return Print(self._walkers[walker], cents, shares, None, False)

    def _walk_due_ms(self, state: MarketState) -> int:
        if state.walk_index >= self._walk_per_day:
            return DAY_MS
        return state.walk_index * DAY_MS // self._walk_per_day

    def _due_ms(self) -> int:
        state = self._state
        start_ms = state.day * DAY_MS
        if state.opening < self._count:
            return start_ms
        due_ms = self._walk_due_ms(state)
        if state.tape_index < len(self._tape):
            due_ms = min(due_ms, self._tape.times_ms[state.tape_index] - _OPEN_MS)
        return start_ms + due_ms

    def _tape_opening_cents(self) -> dict[int, int]:
        opening: dict[int, int] = {}
        tape = self._tape
        for index, cents in zip(tape.symbol_indexes, tape.prices_cents, strict=True):
            if self._listed_of_tape[index] not in opening:
                opening[self._listed_of_tape[index]] = cents
                if len(opening) == len(tape.symbols):
                    break
        return opening

    def _start_cents(self, walker: int) -> int:
        """Return the base price, moved by the seed by up to one percent."""
        base_cents = self._base_cents[walker]
        return max(
            1, base_cents + base_cents * (scramble(self._salt + walker) % 201 - 100) // 10_000
        )
