"""Whether our books agree with the exchange's statement: reports of it, and one on demand."""

from datetime import date
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from api.auth import CurrentOperator
from api.bodies import json_response, read_json
from api.cursor import (
    decode_difference_cursor,
    decode_run_cursor,
    encode_difference_cursor,
    encode_run_cursor,
)
from api.documentation import body, headers, problems
from api.errors import ProblemError
from api.node import Node, NodeState
from api.routes.ops import CHANGE_PROBLEMS, LIST_PROBLEMS, Change, authority
from api.schemas import ORDER_ID_EXAMPLE, TIME_EXAMPLE
from brokerage.contracts.views import format_time
from brokerage.storage.operations import note_reconciliation
from brokerage.storage.reconciliation_reads import (
    ReconciledDifference,
    ReconciliationRun,
    differences_page,
    newest_run,
    run_by_id,
    runs_page,
)

router = APIRouter(tags=["operators"])

PAGE_MAX: Final = 200
PAGE_DEFAULT: Final = 50
LATEST: Final = "latest"
RUN: Final = "A day (its newest run that has ended), `latest`, or the id of a run."
RUN_EXAMPLE: Final = "019ac0c2-3b1c-7d2f-9d53-0b54a7c9d6f1"

PageQuery = Annotated[int, Query(ge=1, le=PAGE_MAX)]


class ReconciliationBody(BaseModel):
    """One run. Nulls until it has ended; `verdict` is clean, healed or needs-a-person."""

    runId: str = Field(examples=[RUN_EXAMPLE])
    day: str = Field(description="In New York, when it began.", examples=["2026-03-02"])
    startedAt: str = Field(examples=[TIME_EXAMPLE])
    startedBy: str = Field(description="An operator, or `schedule`.", examples=["schedule"])
    reason: str = Field(examples=["daily"])
    finishedAt: str | None = Field(examples=[TIME_EXAMPLE])
    verdict: str | None = Field(examples=["clean"])
    sequence: int | None = Field(
        description="The exchange's message to us that both sides were compared at.",
        examples=[48_211],
    )
    orders: int | None = Field(examples=[1204])
    reports: int | None = Field(
        description="Of the exchange, compared one by one.", examples=[1380]
    )
    healed: int | None = Field(examples=[0])
    waiting: int | None = Field(description="Differences that need a person.", examples=[0])


class ReconciliationsBody(BaseModel):
    """Runs, newest first."""

    items: list[ReconciliationBody]
    nextCursor: str | None = Field(examples=[None])


class DifferenceBody(BaseModel):
    """One difference, with what either side says."""

    kind: str = Field(examples=["fill-missing"])
    subject: str = Field(description="An order or an asset.", examples=[ORDER_ID_EXAMPLE])
    key: str = Field(description="What of it, such as a report.", examples=["E7f3a-104"])
    userId: str | None = Field(examples=["alice"])
    ours: str | None = Field(examples=[None])
    theirs: str | None = Field(examples=["fill: 10 at 52210"])
    state: str = Field(examples=["healed"])
    note: str = Field(description="What was done.", examples=["1 of 1 reports booked"])
    foundAt: str = Field(examples=[TIME_EXAMPLE])


class ReconciliationReportBody(ReconciliationBody):
    """A run with a page of what it found, by kind, subject and key."""

    items: list[DifferenceBody]
    nextCursor: str | None = Field(examples=[None])


class StartedReconciliationBody(BaseModel):
    """The run that was started, or joined."""

    runId: str = Field(examples=[RUN_EXAMPLE])


@router.post(
    "/ops/reconciliation",
    status_code=202,
    summary="Compare our books with the exchange now",
    openapi_extra=body(Change),
    responses={
        202: {"model": StartedReconciliationBody, "headers": headers("Location")},
        **problems(*CHANGE_PROBLEMS),
    },
)
async def start_reconciliation(request: Request, operator: CurrentOperator, node: Node) -> Response:
    """One runs at a time; who asks meanwhile is given that one."""
    change = await read_json(request, Change)
    by = authority(operator, request, change)
    run_id = await node.reconciliations.start(by.operator, by.reason)
    await note_reconciliation(node.pool, run_id, by)
    return json_response({"runId": run_id}, 202, {"Location": f"/reconciliation/{run_id}"})


@router.get(
    "/reconciliation",
    summary="List reconciliations, newest first",
    responses={200: {"model": ReconciliationsBody}, **problems(*LIST_PROBLEMS)},
)
async def list_reconciliations(
    operator: CurrentOperator,
    node: Node,
    limit: PageQuery = PAGE_DEFAULT,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
) -> Response:
    """Those that have not ended too."""
    before = decode_run_cursor(cursor) if cursor is not None else None
    # One more than asked for tells whether there is a next page.
    found = await runs_page(node.pool, limit=limit + 1, before=before)
    page = found[:limit]
    more = encode_run_cursor(page[-1].started_at, page[-1].run_id) if len(found) > limit else None
    return json_response({"items": [run_view(one) for one in page], "nextCursor": more})


@router.get(
    "/reconciliation/{run}",
    summary="Read the report of a reconciliation",
    responses={
        200: {"model": ReconciliationReportBody},
        **problems(*LIST_PROBLEMS, "reconciliation-not-found"),
    },
)
async def read_reconciliation(
    run: Annotated[str, Path(description=RUN, examples=[LATEST])],
    operator: CurrentOperator,
    node: Node,
    limit: PageQuery = PAGE_MAX,
    cursor: Annotated[str | None, Query(max_length=600)] = None,
) -> Response:
    """A run, and a page of what it found."""
    found = await _run(node, run)
    if found is None:
        raise ProblemError("reconciliation-not-found", f"there is no report {run[:80]}")
    after = decode_difference_cursor(cursor) if cursor is not None else ("", "", "")
    differences = await differences_page(node.pool, found.run_id, limit=limit + 1, after=after)
    page = differences[:limit]
    last = page[-1] if len(differences) > limit else None
    return json_response(
        {
            **run_view(found),
            "items": [difference_view(one) for one in page],
            "nextCursor": (
                encode_difference_cursor(last.found_at, last.kind, last.subject, last.key)
                if last
                else None
            ),
        }
    )


async def _run(node: NodeState, run: str) -> ReconciliationRun | None:
    if run == LATEST:
        return await newest_run(node.pool)
    try:
        day = date.fromisoformat(run)
    except ValueError:
        return await run_by_id(node.pool, run[:80])
    return await newest_run(node.pool, day)


def run_view(run: ReconciliationRun) -> dict[str, object]:
    """A run as operators see it."""
    return {
        "runId": run.run_id,
        "day": run.day.isoformat(),
        "startedAt": format_time(run.started_at),
        "startedBy": run.started_by,
        "reason": run.reason,
        "finishedAt": format_time(run.finished_at) if run.finished_at else None,
        "verdict": run.verdict,
        "sequence": run.sequence,
        "orders": run.orders,
        "reports": run.reports,
        "healed": run.healed,
        "waiting": run.waiting,
    }


def difference_view(one: ReconciledDifference) -> dict[str, object]:
    """A difference as operators see it."""
    return {
        "kind": one.kind,
        "subject": one.subject,
        "key": one.key,
        "userId": one.user_id,
        "ours": one.ours,
        "theirs": one.theirs,
        "state": one.state,
        "note": one.note,
        "foundAt": format_time(one.found_at),
    }
