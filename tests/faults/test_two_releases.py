"""Two releases of the order worker side by side, under load: orders move on, and nothing fails."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import Client

from brokerage.contracts.ids import workflow_id_for
from devstack import spawn
from devstack.errors import StackError
from devstack.process import ProcessSpec, Report, fixed
from devstack.settings import StackSettings
from devstack.stack import DevStack
from devstack.temporal_binary import find_temporal
from tests.support.accounts import Account, account
from tests.support.eventually import eventually
from tests.support.exchange_rules import control, exchange_of
from tests.support.running import ROOT, inherited
from tests.support.trading import RESTING, Order, cancelled, ended, no_rate_limit, placed
from workers.orders import DEPLOYMENT
from workflows.client import connect_temporal

OLD, NEW = "1", "2"
DRAINED_SOON: Final = {
    "matching.wv.VersionDrainageStatusVisibilityGracePeriod": "1s",
    "matching.wv.VersionDrainageStatusRefreshInterval": "1s",
}
"""Where Temporal would look after three minutes."""
RESTING_ORDERS: Final = 6
IN_A_ROW: Final = 10
CHEAP: Final[Order] = {"position": "buy", "symbol": "BAC", "numShares": 1}
"""Thousands of them can be paid for, however long this takes."""
TOLD_SOMETHING_NEW: Final = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND


def _release(spec: ProcessSpec) -> ProcessSpec:
    """Today's worker beside the next release's, and a Temporal that soon says what is drained."""
    environment = dict(spec.environment)
    match spec.name:
        case "orders-1":
            return replace(spec, environment=environment | {"SHERWOOD_WORKER_BUILD_ID": OLD})
        case "orders-2":
            return replace(
                spec,
                prepare=fixed(sys.executable, "-m", "tests.support.newer_release"),
                environment=environment | {"SHERWOOD_WORKER_BUILD_ID": NEW},
            )
        case "temporal":

            async def prepare(report: Report) -> tuple[str, ...]:
                command = [*await spec.prepare(report)]
                for key, value in DRAINED_SOON.items():
                    command += ["--dynamic-config-value", f"{key}={json.dumps(value)}"]
                return tuple(command)

            return replace(spec, prepare=prepare)
    return spec


@dataclass(frozen=True)
class Releases:
    """What an operator does with releases, by the commands that the page names."""

    stack: DevStack
    temporal: Client

    async def tell(self, command: str, *options: str) -> dict[str, Any]:
        """`temporal worker deployment COMMAND`, repeated until the server knows the worker."""
        binary = await find_temporal(StackSettings(), lambda message: None)

        async def attempt() -> str:
            try:
                return await spawn.run(
                    (
                        *(str(binary), "worker", "deployment", command, *options),
                        *("--deployment-name", DEPLOYMENT, "--output", "json"),
                        *("--address", self.stack.env["SHERWOOD_TEMPORAL_ADDRESS"]),
                    ),
                    environment=inherited(),
                    folder=ROOT,
                )
            except StackError as error:
                raise AssertionError(str(error)) from error

        said = await eventually(attempt, f"the server takes {command} {options}", 60)
        return dict(json.loads(said)) if said.startswith("{") else {}

    async def release_of(self, order: Order) -> str:
        """The release that an order's workflow ran on last."""
        handle = self.temporal.get_workflow_handle(workflow_id_for(order["id"]))
        info = (await handle.describe()).raw_description.workflow_execution_info
        return info.versioning_info.deployment_version.build_id

    async def failures_of(self, order: Order) -> list[str]:
        """The tasks of an order's workflow that failed, but those that came too late: to a run that
        was told something new before it could end.
        """
        handle = self.temporal.get_workflow_handle(workflow_id_for(order["id"]))
        return [
            str(event)
            for event in (await handle.fetch_history()).events
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
            and event.workflow_task_failed_event_attributes.cause != TOLD_SOMETHING_NEW
        ]


@pytest.fixture
async def releases() -> AsyncIterator[Releases]:
    async with DevStack.temporary(workers=2, alter=_release) as stack:
        await stack.wait_ready()
        client = await connect_temporal(stack.env["SHERWOOD_TEMPORAL_ADDRESS"], "default")
        yield Releases(stack, client)


@asynccontextmanager
async def trading(alice: Account, done: list[Order]) -> AsyncIterator[None]:
    """Buy, one order after the other, as long as the block; each is kept in `done`."""
    leaving = asyncio.Event()

    async def trade() -> None:
        while not leaving.is_set():
            done.append(await placed(alice, CHEAP))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(trade())
        try:
            yield
        finally:
            leaving.set()


async def _until_only_on(releases: Releases, done: list[Order], release: str) -> None:
    """Return when orders begin on no other release any more: so many in a row by chance do not."""

    async def all_are() -> bool:
        last = done[-IN_A_ROW:]
        return all([await releases.release_of(order) == release for order in last])

    seen = len(done)
    await eventually(lambda: len(done) >= seen + IN_A_ROW, "orders begin", 60)
    await eventually(all_are, f"orders begin on release {release} alone", 60)


async def _until_on(releases: Releases, done: list[Order], release: str) -> None:
    """Return when an order that begins now runs on this release."""
    seen = len(done)

    async def has() -> bool:
        return any([await releases.release_of(order) == release for order in done[seen:]])

    await eventually(has, f"orders begin on release {release}", 60)


async def test_open_orders_move_to_the_next_release_and_the_old_one_drains(
    releases: Releases,
) -> None:
    stack = releases.stack
    async with AsyncExitStack() as users:
        alice = await users.enter_async_context(account(stack.api_url))
        trader = await users.enter_async_context(account(stack.api_url))
        exchange = await users.enter_async_context(exchange_of(stack))
        for user in (alice, trader):
            await no_rate_limit(stack, user)
        traded: list[Order] = []
        await releases.tell("set-current-version", "--build-id", OLD, "--yes")
        resting = [await placed(alice, RESTING) for _ in range(RESTING_ORDERS)]
        assert {await releases.release_of(order) for order in resting} == {OLD}

        async with trading(trader, traded):
            ramp = ("--build-id", NEW, "--percentage", "50", "--yes")
            await releases.tell("set-ramping-version", *ramp)
            await _until_on(releases, traded, NEW)
            await _until_on(releases, traded, OLD)
            await releases.tell("set-current-version", "--build-id", NEW, "--yes")
            await _until_only_on(releases, traded, NEW)
            for order in resting[::2]:
                await cancelled(alice, order["id"])
            for order in resting[1::2]:
                external = order["externalOrderId"]
                await control(exchange, "executions", orderId=external, shares=1, priceCents=100)
            ends = [await ended(alice, order["id"], "cancelled", "filled") for order in resting]

        async def drained() -> bool:
            version = await releases.tell("describe-version", "--build-id", OLD)
            return bool(version["drainageInfo"]["drainageStatus"] == "drained")

        await eventually(drained, "the old release is drained", 60)
        await stack.stop("orders-1")
        last = await placed(trader, CHEAP)
        for order in (*traded, last):
            await ended(trader, order["id"], "filled")
        orders = [*resting, *traded, last]
        failures = [await releases.failures_of(order) for order in orders]

    assert [order["status"] for order in ends] == ["cancelled", "filled"] * (RESTING_ORDERS // 2)
    assert {await releases.release_of(order) for order in resting} == {NEW}
    assert {await releases.release_of(order) for order in traded} == {OLD, NEW}
    assert await releases.release_of(last) == NEW
    assert failures == [[] for _ in orders]
