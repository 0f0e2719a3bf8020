"""Where a page ended, as text that clients hand back and do not read."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from api.errors import ProblemError, invalid_query

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
MICROSECONDS_MAX: Final = 2**53
"""The year 2255. Larger ones would overflow where the database reads them."""


def encode_cursor(created_at: datetime, order_id: str) -> str:
    """The place right after this order."""
    return _encode(created_at, UUID(order_id).hex)


def decode_cursor(cursor: str) -> tuple[datetime, str]:
    """Creation time and id of the last order seen; raises `ProblemError` for anything else."""
    created_at, hexadecimal = _decode(cursor)
    try:
        order_id = str(UUID(hex=hexadecimal))
    except ValueError:
        raise _foreign() from None
    # Only our own text: an id can be spelt in more than one way.
    if encode_cursor(created_at, order_id) != cursor:
        raise _foreign()
    return created_at, order_id


def encode_execution_cursor(at: datetime, execution_id: str) -> str:
    """The place right after this execution."""
    return _encode(at, execution_id)


def decode_execution_cursor(cursor: str) -> tuple[datetime, str]:
    """Time and id of the last execution seen; raises `ProblemError` for anything else."""
    return _decode(cursor)


def encode_error_cursor(at: datetime, report_id: str, cause: str) -> str:
    """The place right after this item of the error account."""
    return _encode(at, f"{report_id} {cause}")


def decode_error_cursor(cursor: str) -> tuple[datetime, str, str]:
    """Time, report and cause of the last item seen; raises `ProblemError` for anything else."""
    at, rest = _decode(cursor)
    report_id, _, cause = rest.rpartition(" ")
    return at, report_id, cause


def encode_run_cursor(started_at: datetime, run_id: str) -> str:
    """The place right after this run of the reconciliation."""
    return _encode(started_at, run_id)


def decode_run_cursor(cursor: str) -> tuple[datetime, str]:
    """Start and id of the last run seen; raises `ProblemError` for anything else."""
    return _decode(cursor)


def encode_difference_cursor(found_at: datetime, kind: str, subject: str, key: str) -> str:
    """The place right after this difference of a run."""
    return _encode(found_at, "\n".join((kind, subject, key)))


def decode_difference_cursor(cursor: str) -> tuple[str, str, str]:
    """Kind, subject and key of the last one seen; raises `ProblemError` for anything else."""
    _, rest = _decode(cursor)
    kind, _, place = rest.partition("\n")
    subject, _, key = place.partition("\n")
    return kind, subject, key


def encode_bar_cursor(start: datetime, interval: str) -> str:
    """The place right after the bar of this interval that begins at `start`."""
    return _encode(start, interval)


def decode_bar_cursor(cursor: str, interval: str) -> datetime:
    """Where the last bar seen began; raises `ProblemError`, also for one of another interval."""
    start, of_interval = _decode(cursor)
    if of_interval != interval:
        raise _foreign()
    return start


def _encode(at: datetime, rest: str) -> str:
    text = f"{(at - EPOCH) // MICROSECOND}.{rest}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[datetime, str]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True).decode()
        microseconds, _, rest = text.partition(".")
        at = EPOCH + int(microseconds) * MICROSECOND
        # Only our own text: numbers can be spelt in more than one way.
        if _encode(at, rest) == cursor and 0 <= int(microseconds) < MICROSECONDS_MAX:
            return at, rest
    except (ValueError, OverflowError, binascii.Error):
        pass
    raise _foreign()


def _foreign() -> ProblemError:
    return invalid_query("cursor", "the cursor is not one that this service gave out here")
