"""Times in a query, as clients write them."""

import re
from datetime import UTC, datetime
from typing import Final

from api.errors import invalid_query

_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2}))?",
    re.IGNORECASE,
)


def parse_time(where: str, text: str) -> datetime:
    """RFC 3339, or a date for its midnight in UTC; raises `ProblemError` that names `where`.

    Stricter than the standard library, which takes week numbers and times without a zone.
    """
    try:
        if _TIME.fullmatch(text):
            at = datetime.fromisoformat(text.upper())
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise invalid_query(
        where,
        "a time is RFC 3339 with its zone, `2026-03-02T14:30:00Z` (the `+` of a zone is sent as "
        "`%2B`), or a date",
    )
