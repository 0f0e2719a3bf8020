"""What an examination finds: of a server by itself, and of all of it by `sherwood doctor`."""

from datetime import datetime

import msgspec

from client.models import Answer


class Readiness(Answer, frozen=True, kw_only=True):
    """Whether an API node takes requests, and which of its parts are open."""

    ok: bool
    parts: dict[str, bool] = msgspec.field(default_factory=dict)


class Finding(Answer, frozen=True, kw_only=True):
    """One thing that was looked at; `verdict` is `ok`, `wrong`, or `unknown` where it cannot be
    seen; `mend` says what to do.
    """

    check: str
    verdict: str
    found: str
    mend: str = ""


class Diagnosis(Answer, frozen=True, kw_only=True):
    """Everything that was looked at; `ok` is False if anything is wrong."""

    at: datetime
    ok: bool
    items: tuple[Finding, ...]
