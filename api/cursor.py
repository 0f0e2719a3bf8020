"""Where a page of orders ended, as text that clients hand back and do not read."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from api.errors import ProblemError

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
MICROSECONDS_MAX: Final = 2**53
"""The year 2255. Larger ones would overflow where the database reads them."""


def encode_cursor(created_at: datetime, order_id: str) -> str:
    """The place right after this order."""
    text = f"{(created_at - EPOCH) // MICROSECOND}.{UUID(order_id).hex}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[datetime, str]:
    """Creation time and id of the last order seen; raises `ProblemError` for anything else."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True).decode()
        microseconds, _, hexadecimal = text.partition(".")
        created_at = EPOCH + int(microseconds) * MICROSECOND
        place = created_at, str(UUID(hex=hexadecimal))
        # Only our own text: numbers and ids can be spelt in more than one way.
        if encode_cursor(*place) == cursor and 0 <= int(microseconds) < MICROSECONDS_MAX:
            return place
    except (ValueError, OverflowError, binascii.Error):
        pass
    finding = {"in": "query", "where": "cursor", "code": "invalid-request"}
    detail = "the cursor is not one that this service gave out"
    raise ProblemError("invalid-request", detail, errors=[{**finding, "detail": detail}])
