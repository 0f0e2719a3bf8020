"""What operators and load balancers ask, and what each problem code means."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from api.bodies import json_response
from api.documentation import problems
from api.errors import ProblemError
from api.node import PARTS, Node
from brokerage.contracts.problems import PROBLEMS
from brokerage.runtime.metrics import CONTENT_TYPE, exposition

router = APIRouter(tags=["operations"])


class LivenessBody(BaseModel):
    """Whether the process turns."""

    ok: bool
    process: str = Field(examples=["api"])


class ReadinessBody(LivenessBody):
    """Whether it should get requests, and which of its parts are open."""

    parts: dict[str, bool] = Field(examples=[dict.fromkeys(PARTS, True)])


class ProblemKindBody(BaseModel):
    """What a code of a problem means."""

    code: str = Field(examples=["feed-stale"])
    title: str = Field(examples=[PROBLEMS["feed-stale"].title])
    status: int = Field(examples=[PROBLEMS["feed-stale"].status])
    retryable: bool
    advice: str = Field(examples=[PROBLEMS["feed-stale"].advice])


@router.get(
    "/livez",
    summary="Does the process turn?",
    responses={
        200: {"model": LivenessBody},
        503: {"model": LivenessBody, "description": "It does not."},
    },
)
async def read_liveness(node: Node) -> Response:
    """503 when the event loop has not turned for seconds; nothing else counts."""
    alive = node.heart.alive
    return json_response({"ok": alive, "process": "api"}, 200 if alive else 503)


@router.get(
    "/readyz",
    summary="Should it get requests?",
    responses={
        200: {"model": ReadinessBody},
        503: {"model": ReadinessBody, "description": "It should not."},
    },
)
async def read_readiness(node: Node) -> Response:
    """The node's own faults only: a shared part that is away must not turn every node away."""
    parts = {part: node.has(part) for part in PARTS}
    state = {"ok": node.ready, "process": "api", "parts": parts}
    return json_response(state, 200 if node.ready else 503)


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def read_metrics() -> Response:
    """Everything this process counts."""
    return Response(await exposition(), media_type=CONTENT_TYPE)


@router.get(
    "/problems/{code}",
    summary="A problem code",
    responses={200: {"model": ProblemKindBody}, **problems("not-found")},
)
async def read_problem(code: Annotated[str, Path(examples=["feed-stale"])]) -> Response:
    """What the `type` of a problem points to."""
    kind = PROBLEMS.get(code)
    if kind is None:
        raise ProblemError("not-found", "no problem has this code")
    return json_response(
        {
            "code": code,
            "title": kind.title,
            "status": kind.status,
            "retryable": kind.retryable,
            "advice": kind.advice,
        }
    )
