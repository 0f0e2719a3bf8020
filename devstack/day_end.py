"""When the exchange of a temporary stack ends its trading day: not while that stack lives."""

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

HALF_A_DAY: Final = timedelta(hours=12)
NEW_YORK: Final = ZoneInfo("America/New_York")
"""By whose clock the exchange ends its day."""


def far_day_end() -> dict[str, str]:
    """The exchange's settings by which its day ends half a day from now.

    At four in the afternoon of New York, its default, what rests until the end of the day expires.
    """
    return {"EXCHANGE_DAY_END": f"{datetime.now(NEW_YORK) + HALF_A_DAY:%H:%M}"}
