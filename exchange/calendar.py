"""When the trading day ends and when the market is open, by the wall clock of New York. Pure."""

from datetime import UTC, datetime, time, timedelta

from exchange.tape import NEW_YORK

_OPENS = time(9, 30)
_CLOSES = time(16, 0)


def last_day_end_ms(now_ms: int, day_end: time) -> int:
    """Return the newest end of a trading day that is not after `now_ms` (epoch ms)."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(NEW_YORK)
    end = datetime.combine(now.date(), day_end, NEW_YORK)
    if end > now:
        end = datetime.combine(now.date() - timedelta(days=1), day_end, NEW_YORK)
    return int(end.timestamp() * 1000)


def in_session(now_ms: int) -> bool:
    """Whether `now_ms` lies in a regular session: 09:30 to 16:00, Monday to Friday, no holidays."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(NEW_YORK)
    return now.weekday() < 5 and _OPENS <= now.time() < _CLOSES


def next_open_ms(now_ms: int) -> int:
    """Return when the first regular session after `now_ms` opens."""
    return _next_ms(now_ms, _OPENS)


def next_close_ms(now_ms: int) -> int:
    """Return when the session that is open at `now_ms` closes, or the first one after it."""
    return _next_ms(now_ms, _CLOSES)


def _next_ms(now_ms: int, at: time) -> int:
    day = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(NEW_YORK).date()
    while True:
        # By the clock on the wall, each day anew: a day is 23 or 25 hours when that is changed.
        found_ms = int(datetime.combine(day, at, NEW_YORK).timestamp()) * 1000
        if found_ms > now_ms and day.weekday() < 5:
            return found_ms
        day += timedelta(days=1)
