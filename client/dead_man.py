"""What is known of the dead-man switch."""

from datetime import datetime

from client.models import Answer


class CancelAfter(Answer, frozen=True, kw_only=True):
    """Armed, all open orders are cancelled at `cancels_at` unless it is armed anew before.

    `went_off_at` is when that happened last.
    """

    armed: bool
    seconds: int | None = None
    cancels_at: datetime | None = None
    armed_at: datetime | None = None
    armed_from: str | None = None
    went_off_at: datetime | None = None
