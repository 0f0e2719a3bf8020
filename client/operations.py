"""What operators may ask for, as `sherwood.ops`; needs a token with the scope `operator`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote
from uuid import UUID

import msgspec

from client._answers import read
from client._transport import Transport
from client.acts import ActPage
from client.dead_letters import DeadLetterOperations
from client.errors import Unavailable
from client.findings import Diagnosis, Readiness
from client.kill_switch import KillSwitchOperations
from client.models import Answer
from client.order_trail import TrailOperations
from client.reconciliation import ReconciliationOperations
from client.standing import Risk, Standing

AccountState = Literal["active", "close-only", "frozen"]


class Limit(Answer, frozen=True, kw_only=True):
    """A limit: everybody's, or one `subject`'s own (a user's or a symbol's), which wins."""

    name: str
    value: int
    subject: str | None = None


class LimitPage(Answer, frozen=True, kw_only=True):
    """Limits by name and subject; `next_cursor` asks for the page after this one."""

    items: tuple[Limit, ...]
    next_cursor: str | None = None


class Account(Answer, frozen=True, kw_only=True):
    """An account and what it may do; order events after `as_of_seq` were decided in this state."""

    user_id: str
    state: str
    opened_at: datetime
    as_of_seq: int


class Borne(Answer, frozen=True, kw_only=True):
    """What one report of the exchange brought to the error account, for one cause.

    Cents below zero were paid, shares below zero are owed. `report_id` is the execution itself, or
    the bust or correction of it.
    """

    cause: str
    execution_id: str
    report_id: str
    order_id: UUID
    user_id: str
    symbol: str
    amount_cents: int
    shares: int
    booked_at: datetime


class BorneTotal(Answer, frozen=True, kw_only=True):
    """What the error account has for one cause: `amount_cents`, or `shares` of `symbol`."""

    cause: str
    amount_cents: int | None = None
    symbol: str | None = None
    shares: int | None = None


class ErrorAccount(Answer, frozen=True, kw_only=True):
    """A page of items, newest first; `totals` are of the whole account."""

    items: tuple[Borne, ...]
    totals: tuple[BorneTotal, ...]
    next_cursor: str | None = None


class Operations:
    """The operators' part of one Sherwood. Every method raises SherwoodError.

    A change needs a reason and is kept with it; one that is repeated because its answer was lost is
    kept twice.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.kill_switch = KillSwitchOperations(transport)
        self.reconciliation = ReconciliationOperations(transport)
        self.trails = TrailOperations(transport)
        self.dead_letters = DeadLetterOperations(transport)

    async def limits(self, *, subject: str | None = None, cursor: str | None = None) -> LimitPage:
        """Return a page of the limits; only those of `subject`, a user or a symbol, if given."""
        params = _given(subject=subject, cursor=cursor)
        return read(await self._transport.request("GET", "/ops/limits", params=params), LimitPage)

    async def set_limit(
        self, name: str, value: int, *, reason: str, subject: str | None = None
    ) -> Limit:
        """Set everybody's limit, or that of one user or symbol. Raises NotFound, Refused."""
        body = {"value": value, "reason": reason}
        path = _limit_path(name, subject)
        return read(await self._transport.request("PUT", path, json=body), Limit)

    async def drop_limit(self, name: str, subject: str, *, reason: str) -> None:
        """Let everybody's limit count for `subject` again. Raises NotFound if it had none."""
        path = _limit_path(name, subject)
        await self._transport.request("DELETE", path, json={"reason": reason})

    async def account(self, user: str) -> Account:
        """Return an account. Raises NotFound."""
        return read(await self._transport.request("GET", _account_path(user)), Account)

    async def set_account_state(self, user: str, state: AccountState, *, reason: str) -> Account:
        """Say what an account may do from its next order on. Raises NotFound."""
        body = {"state": state, "reason": reason}
        return read(await self._transport.request("PUT", _account_path(user), json=body), Account)

    async def error_account(
        self, *, limit: int | None = None, cursor: str | None = None
    ) -> ErrorAccount:
        """Return a page of what the firm bears, and the totals by cause and asset."""
        params = _given(limit=limit, cursor=cursor)
        answer = await self._transport.request("GET", "/ops/error-account", params=params)
        return read(answer, ErrorAccount)

    async def order(self, order_id: UUID | str) -> Standing:
        """Say where an order is, why, and what to do; anybody's."""
        answer = await self._transport.request("GET", f"/ops/orders/{order_id}")
        return read(answer, Standing)

    async def risk(self) -> Risk:
        """Return what is at risk now, by cause."""
        return read(await self._transport.request("GET", "/ops/risk"), Risk)

    async def readiness(self) -> Readiness:
        """Return whether this node takes requests; needs no token."""
        try:
            return read(await self._transport.request("GET", "/readyz"), Readiness)
        except Unavailable as error:
            if "parts" not in error.extra:
                raise  # somebody else's 503: of a proxy, or about a token
            return msgspec.convert(error.extra | {"ok": False}, Readiness)

    async def doctor(self) -> Diagnosis:
        """Return what is wrong behind the API, and how to mend it; answered whatever is away."""
        return read(await self._transport.request("GET", "/ops/doctor"), Diagnosis)

    async def acts(
        self, *, subject: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> ActPage:
        """Return a page of what operators changed, newest first; about `subject` only, if given."""
        params = _given(subject=subject, limit=limit, cursor=cursor)
        return read(await self._transport.request("GET", "/ops/acts", params=params), ActPage)


def _given(**asked: Any) -> Mapping[str, str | int]:
    return {name: value for name, value in asked.items() if value is not None}


def _limit_path(name: str, subject: str | None) -> str:
    path = f"/ops/limits/{quote(name, safe='')}"
    return path if subject is None else f"{path}/{quote(subject, safe='')}"


def _account_path(user: str) -> str:
    return f"/ops/accounts/{quote(user, safe='')}"
