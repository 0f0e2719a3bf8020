"""When the exchange ends its trading day: not while tests run."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")


def far_day_end() -> dict[str, str]:
    """The exchange's settings by which its day ends half a day from now: at four in the afternoon
    of New York, what a test has resting would expire.
    """
    return {"EXCHANGE_DAY_END": f"{datetime.now(NEW_YORK) + timedelta(hours=12):%H:%M}"}
