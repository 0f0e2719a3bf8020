"""Every kind of drift, put into a running stack: one run finds all of them, heals or explains."""

import asyncio
import math
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import pytest
from nats.aio.client import Client as Nats
from temporalio.client import Schedule, ScheduleHandle, WorkflowExecutionStatus

from brokerage.contracts.ids import (
    RECONCILIATION_ID,
    RECONCILIATION_ON_DEMAND_ID,
    workflow_id_for,
)
from brokerage.contracts.reconciliation import SCHEDULE
from brokerage.contracts.subjects import EXECUTIONS_STREAM
from client.auth import BearerToken
from client.sherwood import Sherwood
from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.drift import (
    DRIFTS,
    EXECUTED_BEFORE,
    HEALED,
    PERSON,
    UNHEARD,
    Drift,
    Drifting,
    bust_missing,
    correction_missing,
    end_missing,
    ended_there,
    fill_missing,
    held_back,
    open_there,
    unknown_here,
    workflow_gone,
)
from tests.support.eventually import eventually
from tests.support.exchange_member import member_of
from tests.support.exchange_rules import MEMBER
from tests.support.race import TEN
from tests.support.trading import MARKET, placed, until
from workers.reconciling import ensure_schedule
from workflows.client import connect_temporal

Report = dict[str, Any]


@dataclass(frozen=True)
class Reconciled:
    """The runs: one by schedule while users traded, one of what was put in, one of what was left,
    asked for twice (`starts`); and where each drift was put.
    """

    stack: DevStack
    operator: Account
    busy: Report
    first: Report
    second: Report
    starts: list[str]
    schedule: Schedule
    subjects: dict[Drift, str]
    drifted: dict[Drift, Drifting]


async def start(operator: Account, reason: str) -> str:
    """Where the report of a run will be that is started now."""

    async def started() -> str:
        answer = await operator.http.post("/ops/reconciliation", json={"reason": reason})
        assert answer.status_code == 202, answer.text
        return answer.headers["location"]

    location: str = await eventually(started, "a run is started")
    return location


async def ended(operator: Account, location: str) -> Report:
    """The report of a run, once it has ended."""

    async def done() -> Report:
        report = await operator.http.get(location)
        assert report.status_code == 200, report.text
        found: Report = report.json()
        assert found["verdict"] is not None
        return found

    report: Report = await eventually(done, "the run has ended", 240)
    return report


async def is_over(stack: DevStack) -> None:
    """Return once who asks is given a new run: one goes on for a moment after its report ended."""
    client = await connect_temporal(stack.env["SHERWOOD_TEMPORAL_ADDRESS"], "default")
    await client.get_workflow_handle(RECONCILIATION_ON_DEMAND_ID).result()


async def lose_reports(stack: DevStack, drifted: Mapping[Drift, Drifting]) -> dict[Drift, str]:
    """Make these drifts, and take out of the stream what it stored of them and nobody took."""
    nats = Nats()
    await nats.connect(stack.env["SHERWOOD_NATS_URL"])
    jetstream = nats.jetstream()
    of = {drift: f"executions.*.{at.order['externalOrderId']}" for drift, at in drifted.items()}
    try:
        for subject in of.values():
            # What was booked before is still there, and must not be taken for what is to come.
            await jetstream.purge_stream(EXECUTIONS_STREAM, subject=subject)
        subjects = {drift: await drift(at) for drift, at in drifted.items()}
        for subject in of.values():

            async def told(subject: str = subject) -> None:
                info = await jetstream.stream_info(EXECUTIONS_STREAM, subjects_filter=subject)
                assert info.state.subjects

            await eventually(told, "the feed stored it")
            await jetstream.purge_stream(EXECUTIONS_STREAM, subject=subject)
    finally:
        await nats.close()
    return subjects


async def trade_a_little(user: Account) -> None:
    """Orders that trade at once, rest, and are cancelled."""
    for _ in range(5):
        await placed(user, MARKET)
        resting = await placed(user, TEN)
        await user.http.delete(f"/order/{resting['id']}")


async def paused_schedule(stack: DevStack) -> ScheduleHandle:
    """The schedule of the daily run, paused by an operator, after a worker looked at it again.

    The worker may not have made it yet.
    """
    client = await connect_temporal(stack.env["SHERWOOD_TEMPORAL_ADDRESS"], "default")
    schedule = client.get_schedule_handle(RECONCILIATION_ID)
    await ensure_schedule(client)
    await schedule.pause(note="a test")
    await ensure_schedule(client)
    return schedule


async def by_schedule(operator: Account) -> Report:
    """The report of the run that the schedule started."""

    async def listed() -> str:
        items = (await operator.http.get("/reconciliation")).json()["items"]
        assert items
        return f"/reconciliation/{items[0]['runId']}"

    location: str = await eventually(listed, "the run has begun", 60)
    return await ended(operator, location)


@pytest.fixture(scope="module")
async def reconciled() -> AsyncIterator[Reconciled]:
    """A stack of its own: what is done to its books is not to be undone."""
    async with AsyncExitStack() as opened:
        stack = await opened.enter_async_context(DevStack.temporary())
        await stack.wait_ready()
        member = await opened.enter_async_context(member_of(stack.exchange_url, MEMBER))
        operator = await opened.enter_async_context(account(stack.api_url, scope="operator"))
        database = await asyncpg.connect(stack.env["SHERWOOD_DATABASE_URL"])
        opened.push_async_callback(database.close)
        drifted: dict[Drift, Drifting] = {}

        async def prepare(drift: Drift, user: Account) -> None:
            drifted[drift] = Drifting(stack, member, user, await placed(user, TEN), database)

        users = [await opened.enter_async_context(account(stack.api_url)) for _ in DRIFTS]
        async with asyncio.TaskGroup() as placing:
            for drift, user in zip(DRIFTS, users, strict=True):
                placing.create_task(prepare(drift, user))
        async with asyncio.TaskGroup() as trading:
            for user in users[:6]:
                trading.create_task(trade_a_little(user))
            schedule = await paused_schedule(stack)
            await schedule.trigger()
            busy = await by_schedule(operator)
        for drift in EXECUTED_BEFORE:
            await drifted[drift].execute(4)
        for drift in EXECUTED_BEFORE:
            at = drifted[drift]
            await until(at.user, at.order_id, lambda order: order["filledShares"] == 4)
        subjects = {drift: await drift(at) for drift, at in drifted.items() if drift not in UNHEARD}
        await stack.stop("executions")
        subjects |= await lose_reports(stack, {drift: drifted[drift] for drift in UNHEARD})
        await stack.start("executions")
        first = await ended(operator, await start(operator, "what was put in"))
        await is_over(stack)
        starts = [await start(operator, "what is left") for _ in range(2)]
        second = await ended(operator, starts[0])
        described = (await schedule.describe()).schedule
        yield Reconciled(stack, operator, busy, first, second, starts, described, subjects, drifted)


def about(report: Report, subject: str, kind: str) -> list[Report]:
    return [one for one in report["items"] if (one["subject"], one["kind"]) == (subject, kind)]


def test_what_moves_during_the_look_is_no_difference(reconciled: Reconciled) -> None:
    assert reconciled.busy["items"] == []
    assert reconciled.busy["verdict"] == "clean"
    assert reconciled.busy["orders"] >= len(DRIFTS)


@pytest.mark.parametrize("drift", DRIFTS, ids=lambda drift: drift.__name__)
def test_a_drift_is_found_with_its_evidence_and_healed_or_explained(
    reconciled: Reconciled, drift: Drift
) -> None:
    kind, state = DRIFTS[drift]
    subject = reconciled.subjects[drift]

    first = about(reconciled.first, subject, kind)
    second = about(reconciled.second, subject, kind)

    assert [one["state"] for one in first if one["state"] == state] != []
    assert all(one["ours"] or one["theirs"] for one in first)
    if state == HEALED:
        assert all(one["note"] for one in first)
        assert second == []
    else:
        assert [one["state"] for one in second] == [PERSON] * len(second) != []


def test_nothing_is_found_where_nothing_was_put_in(reconciled: Reconciled) -> None:
    known = {*reconciled.subjects.values()}
    known |= {at.order_id for at in reconciled.drifted.values()}
    known |= {at.user.user for at in reconciled.drifted.values()}

    others = {
        (one["kind"], one["subject"])
        for one in reconciled.first["items"]
        if not any(name in one["subject"] for name in known)
    }

    assert {kind for kind, _ in others} <= {"total-differs", "reports-parked", "dead-letters"}
    # By the unknown order's execution, the one that is held back, and the tampered entries.
    assert {name for kind, name in others if kind == "total-differs"} == {"USD", "MSFT", "IBM"}


@pytest.mark.parametrize(
    ("drift", "status", "filled"),
    [
        (fill_missing, "partially_filled", 4),
        (end_missing, "expired", 0),
        (bust_missing, "partially_filled", 0),
        (correction_missing, "partially_filled", 3),
        (ended_there, "cancelled", 0),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
async def test_what_was_missing_is_booked_by_the_orders_own_workflow(
    reconciled: Reconciled, drift: Drift, status: str, filled: int
) -> None:
    at = reconciled.drifted[drift]

    order = (await at.user.http.get(f"/order/{at.order_id}")).json()

    assert order["filledShares"] == filled
    assert order["status"] == status


@pytest.mark.parametrize("drift", [open_there, unknown_here], ids=lambda drift: drift.__name__)
async def test_an_order_that_nobody_here_waits_for_left_the_exchanges_book(
    reconciled: Reconciled, drift: Drift
) -> None:
    theirs = await reconciled.drifted[drift].member.order(reconciled.subjects[drift])

    assert theirs is not None
    assert theirs.status == "cancelled"


async def test_an_order_whose_workflow_was_gone_has_one_again(reconciled: Reconciled) -> None:
    at = reconciled.drifted[workflow_gone]
    client = await connect_temporal(at.stack.env["SHERWOOD_TEMPORAL_ADDRESS"], "default")

    description = await client.get_workflow_handle(workflow_id_for(at.order_id)).describe()

    assert description.status is WorkflowExecutionStatus.RUNNING


def test_the_report_counts_what_it_lists_and_says_who_asked(reconciled: Reconciled) -> None:
    report = reconciled.first
    states = [one["state"] for one in report["items"]]

    assert report["verdict"] == PERSON
    assert (report["healed"], report["waiting"]) == (states.count(HEALED), states.count(PERSON))
    assert (report["startedBy"], report["reason"]) == (reconciled.operator.user, "what was put in")
    assert report["sequence"] > reconciled.busy["sequence"]


async def test_reports_are_read_by_day_by_run_and_page_by_page(reconciled: Reconciled) -> None:
    http = reconciled.operator.http
    second = reconciled.second

    by_day = (await http.get(f"/reconciliation/{second['day']}")).json()
    latest = (await http.get("/reconciliation/latest")).json()
    paged: list[Report] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await http.get(f"/reconciliation/{second['runId']}", params=query)).json()
        paged += page["items"]
        cursor = page["nextCursor"]
    listed = (await http.get("/reconciliation", params={"limit": 2})).json()
    older = (await http.get("/reconciliation", params={"cursor": listed["nextCursor"]})).json()

    assert by_day == latest == second
    assert paged == second["items"]
    assert [one["runId"] for one in listed["items"]] == [
        second["runId"],
        reconciled.first["runId"],
    ]
    assert [one["runId"] for one in older["items"]] == [reconciled.busy["runId"]]


async def test_the_client_reads_what_came_of_the_runs(reconciled: Reconciled) -> None:
    token = BearerToken(reconciled.operator.token)
    async with Sherwood(reconciled.stack.api_url, auth=token) as sherwood:
        runs = await sherwood.ops.reconciliation.runs(limit=1)
        report = await sherwood.ops.reconciliation.wait(reconciled.second["runId"], 0)

    assert report is not None
    assert [one.run_id for one in runs.items] == [report.run_id]
    assert (report.verdict, len(report.items)) == (PERSON, len(reconciled.second["items"]))


async def test_only_operators_read_and_start_and_every_start_is_on_record(
    reconciled: Reconciled,
) -> None:
    http = reconciled.operator.http
    user = reconciled.drifted[fill_missing].user.http

    acts = (await http.get("/ops/acts")).json()["items"]
    refused = [
        await user.get("/reconciliation/latest"),
        await user.post("/ops/reconciliation", json={"reason": "curious"}),
    ]
    odd = [
        await http.get("/reconciliation/1999-01-01"),
        await http.get("/reconciliation/nonsense"),
    ]
    no_reason = await http.post("/ops/reconciliation", json={"reason": " "})
    bad_cursor = await http.get("/reconciliation/latest", params={"cursor": "nonsense"})

    assert [one["after"] for one in acts if one["act"] == "reconciliation"] == [
        run["runId"] for run in (reconciled.second, reconciled.second, reconciled.first)
    ]
    assert {one.json()["code"] for one in refused} == {"operator-only"}
    assert {one.json()["code"] for one in odd} == {"reconciliation-not-found"}
    assert no_reason.json()["code"] == bad_cursor.json()["code"] == "invalid-request"


def test_the_daily_run_is_scheduled_once_and_stays_as_operators_leave_it(
    reconciled: Reconciled,
) -> None:
    assert reconciled.schedule.state.paused
    assert reconciled.schedule.spec.time_zone_name == "America/New_York"
    assert reconciled.busy["startedBy"] == SCHEDULE


async def test_differences_are_counted_and_the_last_agreement_has_an_age(
    reconciled: Reconciled,
) -> None:
    [worker] = [row for row in reconciled.stack.rows() if row["name"].startswith("orders")]
    async with httpx.AsyncClient(base_url=worker["address"], trust_env=False, timeout=30) as http:

        async def aged() -> str:
            metrics = (await http.get("/metrics")).text
            [age] = re.findall(r"^sherwood_reconciliation_agreed_age_seconds (.+)$", metrics, re.M)
            assert math.isfinite(float(age))
            return metrics

        metrics = await eventually(aged, "the worker has seen that the first run was clean", 60)

    for kind, state in {*DRIFTS.values()}:
        assert f'reconciliation_differences_total{{kind="{kind}",state="{state}"}}' in metrics


def test_who_asks_while_a_run_is_under_way_is_given_that_one(reconciled: Reconciled) -> None:
    assert reconciled.starts == [f"/reconciliation/{reconciled.second['runId']}"] * 2


def test_what_the_kill_switch_holds_back_is_not_told(reconciled: Reconciled) -> None:
    [one] = about(reconciled.first, reconciled.subjects[held_back], "fill-missing")

    assert "kill switch" in one["note"]
