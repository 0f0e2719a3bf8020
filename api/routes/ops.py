"""What operators do: read and set limits and what accounts may do, and see who did what and why.

Every change needs a reason and is kept with it.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.auth import USER_ID, CurrentOperator, User
from api.bodies import json_response, read_json
from api.documentation import BODY_PROBLEMS, TOKEN_PROBLEMS, body, problems
from api.errors import ProblemError
from api.node import Node, NodeState
from api.routes.orders import client_address
from api.schemas import TIME_EXAMPLE
from api.symbols import check_traded
from brokerage.contracts.views import format_time
from brokerage.domain.limits import LIMITS, Subject
from brokerage.domain.risk import AccountState
from brokerage.storage import operations
from brokerage.storage.operations import Account, Act, Authority, Limit

router = APIRouter(prefix="/ops", tags=["operators"])

OPERATOR_PROBLEMS: Final = (*TOKEN_PROBLEMS, "operator-only", "unavailable")
LIST_PROBLEMS: Final = (*OPERATOR_PROBLEMS, "invalid-request")
CHANGE_PROBLEMS: Final = (*OPERATOR_PROBLEMS, *BODY_PROBLEMS)
LIMIT_PROBLEMS: Final = (
    *CHANGE_PROBLEMS,
    "limit-not-found",
    "account-not-found",
    "symbol-not-found",
)
PAGE_MAX: Final = 200
SUBJECT: Final = r"^[A-Za-z0-9_.-]{1,64}$"
LIMIT_CURSOR: Final = r"^[a-z-]{1,64} [A-Za-z0-9_.-]{0,64}$"

LimitName = Annotated[str, Path(description="Of one of the limits.", examples=["order-shares"])]
SubjectPath = Annotated[str, Path(description="A user or a symbol.", examples=["alice"])]
UserPath = Annotated[str, Path(description="A user.", examples=["alice"])]
SubjectQuery = Annotated[
    str | None, Query(pattern=SUBJECT, description="Only what is about this user or symbol.")
]
PageQuery = Annotated[int, Query(ge=1, le=PAGE_MAX)]


class Change(BaseModel):
    """Why something is changed; kept with the change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    reason: str = Field(pattern=r"\S", max_length=500, examples=["agreed with the customer"])


class LimitChange(Change):
    """The new value of a limit."""

    value: int = Field(examples=[100000])


class StateChange(Change):
    """What the account may do from now on."""

    # A state comes as JSON text, which a strict model would not take for one.
    state: AccountState = Field(strict=False)


class LimitBody(BaseModel):
    """A limit: everybody's, or `subject`'s own, which wins."""

    name: str = Field(examples=["order-shares"])
    subject: str | None = Field(description="A user or a symbol.", examples=["alice"])
    value: int = Field(examples=[100000])


class LimitsBody(BaseModel):
    """Limits by name and subject."""

    items: list[LimitBody]
    nextCursor: str | None = Field(examples=[None])


class AccountBody(BaseModel):
    """An account and what it may do. `asOfSeq` is its last order event: those after it were decided
    in this state.
    """

    userId: str = Field(examples=["alice"])
    state: AccountState
    openedAt: str = Field(examples=[TIME_EXAMPLE])
    asOfSeq: int = Field(examples=[12])


class ActBody(BaseModel):
    """One change; `before` and `after` are null where there was, or is, no value."""

    id: int = Field(examples=[31])
    at: str = Field(examples=[TIME_EXAMPLE])
    operator: str = Field(examples=["olivia"])
    address: str = Field(examples=["192.0.2.7"])
    act: str = Field(examples=["limit order-shares", "account-state"])
    subject: str | None = Field(examples=["alice"])
    before: int | str | None = Field(examples=[50000])
    after: int | str | None = Field(examples=[100000])
    reason: str = Field(examples=["agreed with the customer"])


class ActsBody(BaseModel):
    """Changes, newest first."""

    items: list[ActBody]
    nextCursor: str | None = Field(examples=["31"])


@router.get(
    "/limits",
    summary="List the limits",
    responses={200: {"model": LimitsBody}, **problems(*LIST_PROBLEMS)},
)
async def list_limits(
    operator: CurrentOperator,
    node: Node,
    subject: SubjectQuery = None,
    limit: PageQuery = PAGE_MAX,
    cursor: Annotated[str | None, Query(pattern=LIMIT_CURSOR)] = None,
) -> Response:
    """Everybody's value of a limit comes before those of single users or symbols."""
    name, _, last_subject = (cursor or "").partition(" ")
    # One more than asked for tells whether there is a next page.
    found = await operations.limits_page(
        node.pool, limit=limit + 1, after=(name, last_subject), subject=subject
    )
    page = found[:limit]
    more = f"{page[-1].name} {page[-1].subject}" if len(found) > limit else None
    return json_response({"items": [limit_view(one) for one in page], "nextCursor": more})


@router.put(
    "/limits/{name}",
    summary="Set a limit for everybody",
    openapi_extra=body(LimitChange),
    responses={
        200: {"model": LimitBody},
        **problems(*CHANGE_PROBLEMS, "limit-not-found", "limit-out-of-bounds"),
    },
)
async def set_limit(
    name: LimitName, request: Request, operator: CurrentOperator, node: Node
) -> Response:
    """Counts for the next order. Whoever has a value of their own keeps it."""
    return await _set_limit(name, "", request, operator, node)


@router.put(
    "/limits/{name}/{subject}",
    summary="Set a limit for one user or symbol",
    openapi_extra=body(LimitChange),
    responses={
        200: {"model": LimitBody},
        **problems(*LIMIT_PROBLEMS, "limit-out-of-bounds"),
    },
)
async def set_limit_of_subject(
    name: LimitName, subject: SubjectPath, request: Request, operator: CurrentOperator, node: Node
) -> Response:
    """Counts for the next order, and wins over everybody's value."""
    await _check_subject(node, name, subject)
    return await _set_limit(name, subject, request, operator, node)


@router.delete(
    "/limits/{name}/{subject}",
    summary="Let everybody's limit count for one user or symbol again",
    status_code=204,
    openapi_extra=body(Change),
    responses={
        204: {"description": "It has no value of its own any more."},
        **problems(*LIMIT_PROBLEMS),
    },
)
async def drop_limit_of_subject(
    name: LimitName, subject: SubjectPath, request: Request, operator: CurrentOperator, node: Node
) -> Response:
    """Needs a body too, with the reason."""
    await _check_subject(node, name, subject)
    change = await read_json(request, Change)
    by = authority(operator, request, change)
    if not await operations.drop_limit(node.pool, name, subject, by):
        raise ProblemError("limit-not-found", f"{subject} has no {name} of its own")
    return Response(status_code=204)


@router.get(
    "/accounts/{user}",
    summary="Read an account",
    responses={200: {"model": AccountBody}, **problems(*OPERATOR_PROBLEMS, "account-not-found")},
)
async def read_account(user: UserPath, operator: CurrentOperator, node: Node) -> Response:
    """What it may do."""
    _check_user_id(user)
    return json_response(account_view(_existing(await operations.account(node.pool, user))))


@router.put(
    "/accounts/{user}",
    summary="Say what an account may do",
    openapi_extra=body(StateChange),
    responses={200: {"model": AccountBody}, **problems(*CHANGE_PROBLEMS, "account-not-found")},
)
async def set_account_state(
    user: UserPath, request: Request, operator: CurrentOperator, node: Node
) -> Response:
    """Counts for the next order; open ones stay and can be cancelled."""
    change = await read_json(request, StateChange)
    by = authority(operator, request, change)
    _check_user_id(user)
    account = await operations.set_account_state(node.pool, user, change.state, by)
    return json_response(account_view(_existing(account)))


@router.get(
    "/acts",
    summary="List what operators changed, newest first",
    responses={200: {"model": ActsBody}, **problems(*LIST_PROBLEMS)},
)
async def list_acts(
    operator: CurrentOperator,
    node: Node,
    subject: SubjectQuery = None,
    limit: PageQuery = 50,
    cursor: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
) -> Response:
    """Who changed what, when, from where and why; nothing of it is ever removed."""
    subjects = None if subject is None else [subject]
    found = await operations.acts_page(node.pool, limit=limit + 1, before=cursor, subjects=subjects)
    page = found[:limit]
    more = str(page[-1].act_id) if len(found) > limit else None
    return json_response({"items": [act_view(one) for one in page], "nextCursor": more})


def limit_view(limit: Limit) -> dict[str, object]:
    """A limit as operators see it."""
    return {"name": limit.name, "subject": limit.subject or None, "value": limit.value}


def account_view(account: Account) -> dict[str, object]:
    """An account as operators see it."""
    return {
        "userId": account.user_id,
        "state": account.state.value,
        "openedAt": format_time(account.opened_at),
        "asOfSeq": account.as_of_seq,
    }


def act_view(act: Act) -> dict[str, object]:
    """A change as operators see it."""
    return {
        "id": act.act_id,
        "at": format_time(act.at),
        "operator": act.operator,
        "address": act.address,
        "act": act.act,
        "subject": act.subject or None,
        "before": act.before,
        "after": act.after,
        "reason": act.reason,
    }


async def _set_limit(
    name: str, subject: str, request: Request, operator: User, node: NodeState
) -> Response:
    kind = LIMITS.get(name)
    if kind is None:
        raise _no_such_limit(name)
    change = await read_json(request, LimitChange)
    if not kind.minimum <= change.value <= kind.maximum:
        raise ProblemError(
            "limit-out-of-bounds",
            f"{name} is a number from {kind.minimum} to {kind.maximum}",
            minimum=kind.minimum,
            maximum=kind.maximum,
        )
    limit = Limit(name, subject, change.value)
    await operations.set_limit(node.pool, limit, authority(operator, request, change))
    return json_response(limit_view(limit))


async def _check_subject(node: NodeState, name: str, subject: str) -> None:
    """Raise `ProblemError` unless there is such a limit, and it may have a value for `subject`."""
    kind = LIMITS.get(name)
    if kind is None or kind.subject is None:
        raise _no_such_limit(f"{name} of one user or symbol")
    if kind.subject is Subject.SYMBOL:
        check_traded(node.directory, subject)
    else:
        _check_user_id(subject)
        _existing(await operations.account(node.pool, subject))


def _check_user_id(user: str) -> None:
    if not USER_ID.fullmatch(user):
        raise _no_such_account()


def _existing(account: Account | None) -> Account:
    if account is None:
        raise _no_such_account()
    return account


def _no_such_account() -> ProblemError:
    return ProblemError("account-not-found", "there is no account of this user")


def _no_such_limit(name: str) -> ProblemError:
    return ProblemError("limit-not-found", f"there is no limit {name[:80]}")


def authority(operator: User, request: Request, change: Change) -> Authority:
    """Who makes a change, from where, and why."""
    return Authority(operator.user_id, client_address(request), change.reason)
