"""How a change of an order came about: in which run of its workflow, after what the exchange said.

Kept with the order's events, and of attempts that changed nothing on their own.
"""

from collections.abc import Awaitable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

from temporalio import activity

from brokerage.contracts.gateway import CancelRequest, GatewayReply, PlaceRequest, QueryRequest
from brokerage.contracts.views import format_time
from brokerage.domain.booking import Detail

ASKED: Final = {PlaceRequest: "place", CancelRequest: "cancel", QueryRequest: "query"}
REASON_MAX: Final = 200
"""Characters that are kept of what the exchange says in its own words."""
ATTEMPTS_ALL: Final = 20


class Trace:
    """One attempt at an activity, from its start on."""

    def __init__(self) -> None:
        self._info = activity.info()
        self._calls: list[Detail] = []

    async def heard(
        self, request: PlaceRequest | CancelRequest | QueryRequest, answer: Awaitable[GatewayReply]
    ) -> GatewayReply:
        """Wait for the gateway's answer, and keep both with their times."""
        asked_at = datetime.now(UTC)
        reply = await answer
        call = {
            "asked": ASKED[type(request)],
            "request": _given(request),
            "askedAt": format_time(asked_at),
            "answeredAt": format_time(datetime.now(UTC)),
            "answer": _given(reply),
        }
        self._calls.append(call)
        return reply

    @property
    def detail(self) -> Detail:
        """All of it, as it is stored."""
        run = {
            "workflowId": self._info.workflow_id,
            "runId": self._info.workflow_run_id,
            "activity": self._info.activity_type,
            "attempt": self._info.attempt,
        }
        return {"run": run, "exchange": self._calls} if self._calls else {"run": run}

    @property
    def is_worth_a_note(self) -> bool:
        """False for most of the attempts of an exchange that is away for long: it says the same."""
        attempt = self._info.attempt
        return bool(self._calls) and (attempt <= ATTEMPTS_ALL or attempt & (attempt - 1) == 0)


def _given(said: PlaceRequest | CancelRequest | QueryRequest | GatewayReply) -> dict[str, object]:
    """What was said, without what was left open."""
    return _without_none(asdict(said))


def _without_none(said: dict[str, object]) -> dict[str, object]:
    kept: dict[str, object] = {}
    for name, value in said.items():
        if isinstance(value, dict):
            kept[_camel(name)] = _without_none(value)
        elif value is not None:
            kept[_camel(name)] = value[:REASON_MAX] if isinstance(value, str) else value
    return kept


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
