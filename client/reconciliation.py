"""Whether the books agree with the exchange's statement, as `sherwood.ops.reconciliation`."""

import math
from collections.abc import Mapping
from datetime import date, datetime
from typing import Final, Literal
from urllib.parse import quote

from client._answers import read
from client._transport import Transport
from client.errors import NotFound
from client.models import Answer

PATH: Final = "/reconciliation"
POLL_SECONDS: Final = 0.5


class Reconciliation(Answer, frozen=True, kw_only=True):
    """One comparison; what is None is known once it has ended.

    `sequence` is the exchange's message that both sides were compared at. `verdict` is clean,
    healed, or needs-a-person; so many differences were `healed`, so many are `waiting` for one.
    """

    run_id: str
    day: date
    started_at: datetime
    started_by: str
    reason: str
    finished_at: datetime | None = None
    verdict: str | None = None
    sequence: int | None = None
    orders: int | None = None
    reports: int | None = None
    healed: int | None = None
    waiting: int | None = None


class ReconciliationPage(Answer, frozen=True, kw_only=True):
    """Runs, newest first; `next_cursor` asks for the page after this one."""

    items: tuple[Reconciliation, ...]
    next_cursor: str | None = None


class Difference(Answer, frozen=True, kw_only=True):
    """One difference: what either side says of `subject`, and what was done (`note`)."""

    kind: str
    subject: str
    key: str
    state: Literal["healed", "needs-a-person"]
    note: str
    found_at: datetime
    user_id: str | None = None
    ours: str | None = None
    theirs: str | None = None


class ReconciliationReport(Reconciliation, frozen=True, kw_only=True):
    """A run and a page of what it found, by kind, subject and key."""

    items: tuple[Difference, ...]
    next_cursor: str | None = None


class Started(Answer, frozen=True, kw_only=True):
    """The run that was started, or the one under way that was joined."""

    run_id: str


class ReconciliationOperations:
    """Starting runs and reading their reports. Every method raises SherwoodError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def start(self, *, reason: str) -> Started:
        """Compare everything now; who asks while one runs is given that one."""
        body = {"reason": reason}
        return read(
            await self._transport.request("POST", "/ops/reconciliation", json=body), Started
        )

    async def report(
        self, run: str = "latest", *, limit: int | None = None, cursor: str | None = None
    ) -> ReconciliationReport:
        """Return a report: of a day (its newest run), of `latest`, or of a run's id.

        Raises NotFound.
        """
        params = _page(limit, cursor)
        path = f"{PATH}/{quote(run, safe='')}"
        return read(await self._transport.request("GET", path, params=params), ReconciliationReport)

    async def runs(
        self, *, limit: int | None = None, cursor: str | None = None
    ) -> ReconciliationPage:
        """Return a page of the runs, newest first; those that have not ended too."""
        params = _page(limit, cursor)
        return read(await self._transport.request("GET", PATH, params=params), ReconciliationPage)

    async def wait(self, run_id: str, timeout_seconds: float) -> ReconciliationReport | None:
        """Return the report of a run once it has ended; None if it has not in this time."""
        for look in range(math.ceil(timeout_seconds / POLL_SECONDS) + 1):
            if look:
                await self._transport.sleep(POLL_SECONDS)
            try:
                report = await self.report(run_id)
            except NotFound:
                # Its first step, which makes the run known, is under way.
                continue
            if report.verdict is not None:
                return report
        return None


def _page(limit: int | None, cursor: str | None) -> Mapping[str, int | str]:
    given = {"limit": limit, "cursor": cursor}
    return {name: value for name, value in given.items() if value is not None}
