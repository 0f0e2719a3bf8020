"""At which times an account is valued: windows that clients choose from, steps between points."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from brokerage.domain.bars import MARKET_ZONE

NEW_YORK: Final = ZoneInfo(MARKET_ZONE)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)
DAY: Final = timedelta(days=1)

POINTS_MAX: Final = 370
"""A year of days; what a plot can show."""
LOOKUPS_MAX: Final = 60_000
"""Closes that one answer may need, points x symbols: a fraction of a second of the database."""


class Window(StrEnum):
    """How far back: a month is 30 days, a year 365; `all` begins where the account did."""

    DAY = "1d"
    WEEK = "1w"
    MONTH = "1m"
    YEAR = "1y"
    ALL = "all"


SPANS: Final[Mapping[Window, timedelta]] = {
    Window.DAY: DAY,
    Window.WEEK: 7 * DAY,
    Window.MONTH: 30 * DAY,
    Window.YEAR: 365 * DAY,
}


@dataclass(frozen=True, slots=True)
class Step:
    """The distance between two points. Steps of days end where the bars of days do."""

    name: str
    length: timedelta

    @property
    def is_daily(self) -> bool:
        """True where closes of days are enough; else those of minutes are needed."""
        return self.length >= DAY

    def at_or_before(self, at: datetime) -> datetime:
        """The last beginning of a step: a multiple of it in UTC, or midnight in New York."""
        if not self.is_daily:
            return at - (at - EPOCH) % self.length
        day = at.astimezone(NEW_YORK).date()
        # Counted from a Monday: weeks begin with one.
        return _midnight(day - timedelta(days=(day.toordinal() - 1) % self.length.days))

    def next(self, begin: datetime) -> datetime:
        """The beginning after `begin`, which is one."""
        if not self.is_daily:
            return begin + self.length
        # By the date: where the clocks change, a day is not 24 hours.
        return _midnight(begin.astimezone(NEW_YORK).date() + self.length)


STEPS: Final = (
    Step("5m", timedelta(minutes=5)),
    Step("15m", timedelta(minutes=15)),
    Step("1h", timedelta(hours=1)),
    Step("4h", timedelta(hours=4)),
    Step("1d", DAY),
    Step("7d", 7 * DAY),
    Step("28d", 28 * DAY),
    Step("364d", 364 * DAY),
)
"""The narrowest that fits is taken: 370 points of 4 h are within the 90 days minutes are kept."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The points of an answer, ascending; the last one is now.

    `from_opening`: the first one is the opening of the account.
    """

    step: Step
    points: tuple[datetime, ...]
    from_opening: bool

    def closed_until(self) -> list[datetime]:
        """For each point: bars that began before this are over by then; all that began, for now."""
        begins = [
            day_begin(at) if self.step.is_daily else at - (at - EPOCH) % MINUTE
            for at in self.points[:-1]
        ]
        return [*begins, self.points[-1]]


def timeline(window: Window, opened_at: datetime, now: datetime, symbols: int) -> Timeline:
    """The points at which to value an account that ever held so many symbols.

    Steps of its own for every answer: a young account has close points in any window.
    """
    span = SPANS.get(window)
    wanted = opened_at if span is None else max(opened_at, now - span)
    points_max = min(POINTS_MAX, max(2, LOOKUPS_MAX // max(1, symbols)))
    # Beside the whole steps: both ends, and one because the first is rounded down.
    fitting = (step for step in STEPS if (now - wanted) // step.length + 3 <= points_max)
    step = next(fitting, STEPS[-1])
    begin = step.at_or_before(wanted)
    from_opening = begin <= opened_at
    points = [opened_at if from_opening else begin]
    begin = step.next(begin)
    while begin < now:
        points.append(begin)
        begin = step.next(begin)
    if points[-1] < now:
        points.append(now)
    return Timeline(step, tuple(points), from_opening)


def day_begin(at: datetime) -> datetime:
    """Midnight in New York: where the day bar of `at` begins, and those before it are over."""
    return _midnight(at.astimezone(NEW_YORK).date())


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), NEW_YORK).astimezone(UTC)
