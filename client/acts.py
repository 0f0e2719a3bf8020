"""What operators did, as it is kept."""

from datetime import datetime

from client.models import Answer


class Act(Answer, frozen=True, kw_only=True):
    """One change by an operator; `before` and `after` are None where there was, or is, no value."""

    id: int
    at: datetime
    operator: str
    address: str
    act: str
    reason: str
    subject: str | None = None
    before: int | str | None = None
    after: int | str | None = None


class ActPage(Answer, frozen=True, kw_only=True):
    """Changes, newest first; `next_cursor` asks for the page after this one."""

    items: tuple[Act, ...]
    next_cursor: str | None = None
