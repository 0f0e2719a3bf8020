"""What operators and load balancers ask, and what each problem code means."""

from fastapi import APIRouter, Response

from api.bodies import json_response
from api.documentation import problems
from api.errors import ProblemError
from api.node import PARTS, Node
from brokerage.contracts.problems import PROBLEMS
from brokerage.runtime.metrics import CONTENT_TYPE, exposition

router = APIRouter(tags=["operations"])


@router.get("/livez", summary="Does the process turn?", responses={503: {}})
async def livez(node: Node) -> Response:
    """503 when the event loop has not turned for seconds; nothing else counts."""
    alive = node.heart.alive
    return json_response({"ok": alive, "process": "api"}, 200 if alive else 503)


@router.get("/readyz", summary="Should it get requests?", responses={503: {}})
async def readyz(node: Node) -> Response:
    """The node's own faults only: a shared part that is away must not turn every node away."""
    parts = {part: node.has(part) for part in PARTS}
    state = {"ok": node.ready, "process": "api", "parts": parts}
    return json_response(state, 200 if node.ready else 503)


@router.get("/metrics", summary="Prometheus metrics")
async def metrics() -> Response:
    """Everything this process counts."""
    return Response(await exposition(), media_type=CONTENT_TYPE)


@router.get("/problems/{code}", summary="A problem code", responses=problems("not-found"))
async def problem_kind(code: str) -> Response:
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
