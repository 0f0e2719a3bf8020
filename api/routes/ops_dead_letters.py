"""Dead letters for operators: what they are, what is known of them now, and sending them again."""

import json
from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from api.auth import CurrentOperator
from api.bodies import json_response, read_json
from api.documentation import body, problems
from api.errors import ProblemError
from api.node import Node, NodeState
from api.routes.ops import CHANGE_PROBLEMS, LIST_PROBLEMS, Change, authority
from api.schemas import ORDER_ID_EXAMPLE, TIME_EXAMPLE
from brokerage.bus.dead_letters import DeadLetter, DeadLetters
from brokerage.bus.executions import Parking
from brokerage.contracts.events import ExecutionReport
from brokerage.contracts.views import format_time
from brokerage.gateway.client import GatewayClient
from brokerage.storage import operations, reads
from brokerage.storage.execution_reads import is_reported
from brokerage.storage.operations import Authority
from brokerage.storage.reads import Route
from streaming.routes import Routes

router = APIRouter(prefix="/ops/dead-letters", tags=["operators"])

PAGE_MAX: Final = 200
LETTER_MAX: Final = 2**53 - 1
PAYLOAD_SHOWN_MAX: Final = 4_000

LetterId = Annotated[int, Path(ge=1, le=LETTER_MAX, examples=[7])]
EXPLANATIONS: Final = {
    "ours": "It is a report on an order of ours: replay it, and it is booked.",
    "booked": "It is booked already: a replay changes nothing and takes the letter away.",
    "unreadable": "It cannot be read as a report: ask whoever changed the feed or its format.",
}


class DeadLetterBody(BaseModel):
    """One letter; `payload` is the report as it came, as text where it is no JSON."""

    id: int = Field(examples=[7])
    externalOrderId: str = Field(examples=["X7f3a-12"])
    subject: str = Field(examples=["executions.fill.X7f3a-12"])
    why: str = Field(examples=["no-order-of-ours", "unknown-at-exchange"])
    buriedAt: str = Field(examples=[TIME_EXAMPLE])
    payload: dict[str, Any] | str = Field(
        examples=[{"type": "fill", "externalOrderId": "X7f3a-12"}]
    )


class DeadLettersBody(BaseModel):
    """Letters, oldest first, and how many there are in all."""

    items: list[DeadLetterBody]
    nextCursor: str | None = Field(examples=[None])
    waiting: int = Field(examples=[1])


class ExplainedBody(BaseModel):
    """A letter, and what is known now.

    `ours`: it has an order of ours, and a replay books it. `booked`: it is booked already; a replay
    changes nothing and takes it out. `nobodys`: the exchange still attributes it to no order of
    ours. `unreadable`: nobody can read it. `undecided`: the exchange gave no answer.
    """

    letter: DeadLetterBody
    verdict: Literal["ours", "booked", "nobodys", "unreadable", "undecided"]
    explanation: str = Field(examples=[EXPLANATIONS["ours"]])
    orderId: str | None = Field(examples=[ORDER_ID_EXAMPLE])
    userId: str | None = Field(examples=["alice"])


class ReplayedBody(BaseModel):
    """How many letters were sent again, and whether there are more."""

    replayed: int = Field(examples=[1])
    more: bool


@router.get(
    "",
    summary="List the dead letters, oldest first",
    responses={200: {"model": DeadLettersBody}, **problems(*LIST_PROBLEMS)},
)
async def list_dead_letters(
    operator: CurrentOperator,
    node: Node,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
    cursor: Annotated[int, Query(ge=0, le=LETTER_MAX)] = 0,
) -> Response:
    """Reports that the exchange attributed to no order of ours."""
    letters = DeadLetters(node.bus)
    found = await letters.after(cursor, limit + 1)
    page = found[:limit]
    return json_response(
        {
            "items": [letter_view(letter) for letter in page],
            "nextCursor": str(page[-1].letter_id) if len(found) > limit else None,
            "waiting": await Parking(node.bus).buried(),
        }
    )


@router.get(
    "/{letter_id}",
    summary="Explain a dead letter",
    responses={200: {"model": ExplainedBody}, **problems(*LIST_PROBLEMS, "dead-letter-not-found")},
)
async def explain_dead_letter(
    letter_id: LetterId, operator: CurrentOperator, node: Node
) -> Response:
    """What the exchange says about its order now, asked through the gateway, and what we know."""
    letter = await _existing(node, letter_id)
    verdict, explanation, route = await _explained(node, letter)
    return json_response(
        {
            "letter": letter_view(letter),
            "verdict": verdict,
            "explanation": explanation,
            "orderId": route.order_id if route else None,
            "userId": route.user_id if route else None,
        }
    )


@router.post(
    "/replay",
    summary="Send dead letters again",
    openapi_extra=body(Change),
    responses={200: {"model": ReplayedBody}, **problems(*CHANGE_PROBLEMS)},
)
async def replay_dead_letters(request: Request, operator: CurrentOperator, node: Node) -> Response:
    """The oldest, up to two hundred. One that is still nobody's comes back as a new letter."""
    change = await read_json(request, Change)
    found = await DeadLetters(node.bus).after(0, PAGE_MAX + 1)
    for letter in found[:PAGE_MAX]:
        await _replay(node, letter, authority(operator, request, change))
    return json_response({"replayed": len(found[:PAGE_MAX]), "more": len(found) > PAGE_MAX})


@router.post(
    "/{letter_id}/replay",
    summary="Send one dead letter again",
    openapi_extra=body(Change),
    responses={200: {"model": ReplayedBody}, **problems(*CHANGE_PROBLEMS, "dead-letter-not-found")},
)
async def replay_dead_letter(
    letter_id: LetterId, request: Request, operator: CurrentOperator, node: Node
) -> Response:
    """It goes the way of every report, is booked once whatever happens, and leaves the list."""
    change = await read_json(request, Change)
    letter = await _existing(node, letter_id)
    await _replay(node, letter, authority(operator, request, change))
    return json_response({"replayed": 1, "more": False})


@router.delete(
    "/{letter_id}",
    summary="Discard a dead letter",
    status_code=204,
    openapi_extra=body(Change),
    responses={
        204: {"description": "It is no letter any more; the act keeps what it said."},
        **problems(*CHANGE_PROBLEMS, "dead-letter-not-found", "dead-letter-is-ours"),
    },
)
async def discard_dead_letter(
    letter_id: LetterId, request: Request, operator: CurrentOperator, node: Node
) -> Response:
    """For what will never be ours. One that has an order of ours, or may have, is kept."""
    change = await read_json(request, Change)
    letter = await _existing(node, letter_id)
    verdict, explanation, _ = await _explained(node, letter)
    if verdict == "undecided":
        raise ProblemError("unavailable", explanation)
    if verdict == "ours":
        raise ProblemError("dead-letter-is-ours", explanation)
    await _record(node, letter, "discard-dead-letter", authority(operator, request, change))
    await DeadLetters(node.bus).remove(letter)
    return Response(status_code=204)


def letter_view(letter: DeadLetter) -> dict[str, object]:
    """A letter as operators see it."""
    text = letter.payload.decode(errors="replace")
    payload: object
    try:
        payload = json.loads(text)
    except ValueError:
        payload = None
    return {
        "id": letter.letter_id,
        "externalOrderId": letter.external_order_id,
        "subject": letter.subject,
        "why": letter.reason,
        "buriedAt": format_time(letter.buried_at),
        "payload": payload if isinstance(payload, dict) else text[:PAYLOAD_SHOWN_MAX],
    }


async def _existing(node: NodeState, letter_id: int) -> DeadLetter:
    letter = await DeadLetters(node.bus).letter(letter_id)
    if letter is None:
        raise ProblemError("dead-letter-not-found", f"there is no dead letter {letter_id}")
    return letter


async def _explained(node: NodeState, letter: DeadLetter) -> tuple[str, str, Route | None]:
    """The verdict of `ExplainedBody`, in words, and the order if it is one of ours."""
    report_id = _report_id(letter)
    if report_id is None:
        return "unreadable", EXPLANATIONS["unreadable"], None
    routes = Routes(
        partial(reads.route_of_external, node.pool),
        partial(reads.route_of_order, node.pool),
        GatewayClient(node.bus).query,
    )
    known = await routes.find(letter.external_order_id)
    route = known or await routes.ask(letter.external_order_id)
    if isinstance(route, Route):
        verdict = "booked" if await is_reported(node.pool, report_id) else "ours"
        return verdict, EXPLANATIONS[verdict], route
    if route.foreign:
        return "nobodys", f"The exchange attributes it to no order of ours ({route.reason}).", None
    return "undecided", f"The exchange could not be asked ({route.reason}): try again.", None


def _report_id(letter: DeadLetter) -> str | None:
    try:
        return msgspec.json.decode(letter.payload, type=ExecutionReport).report_id
    except msgspec.DecodeError:
        return None


async def _replay(node: NodeState, letter: DeadLetter, by: Authority) -> None:
    await _record(node, letter, "replay-dead-letter", by)
    await DeadLetters(node.bus).replay(letter)


async def _record(node: NodeState, letter: DeadLetter, act: str, by: Authority) -> None:
    """Keep the act, with all that the letter said. First: nothing is done that is not on record."""
    subject = letter.external_order_id
    said = letter.payload.decode(errors="replace")
    await operations.record_act(node.pool, by, act, subject, said)
