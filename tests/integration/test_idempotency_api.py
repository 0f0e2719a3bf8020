"""One key is one order, whatever becomes of its answer, of the node, or of the workflow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from brokerage.contracts.ids import order_id_for, workflow_id_for
from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.eventually import eventually
from tests.support.exchange_rules import exchange_of, recorded, rule, struck
from tests.support.ports import free_port
from tests.support.running import Running, running
from tests.support.trading import RESTING, ended, place

ANOTHER = {**RESTING, "numShares": 2}


@asynccontextmanager
async def another_node(stack: DevStack, log: Path) -> AsyncIterator[tuple[Running, str]]:
    """A second API process of the same stack, and its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **stack.env,
        "SHERWOOD_API_PORT": str(port),
        "SHERWOOD_TOKEN_SECRET": (stack.settings.home / "token-secret").read_text().strip(),
    }
    async with running("api", environment=environment, ready_url=f"{url}/readyz", log=log) as node:
        yield node, url


async def listed(alice: Account, key: str | None = None) -> list[dict[str, Any]]:
    """Her orders, or those that a key stands for."""
    page = await alice.http.get("/orders", params={"idempotencyKey": key} if key else {})
    items: list[dict[str, Any]] = page.json()["items"]
    return items


async def temporal_of(stack: DevStack) -> Client:
    """A client of the stack's Temporal."""
    return await Client.connect(
        stack.env["SHERWOOD_TEMPORAL_ADDRESS"], namespace=stack.env["SHERWOOD_TEMPORAL_NAMESPACE"]
    )


async def delete_workflow(stack: DevStack, order_id: str) -> None:
    """Ask Temporal to forget an order, as it does after its retention."""
    temporal = await temporal_of(stack)
    await temporal.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=temporal.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id_for(order_id)),
        )
    )


async def forgotten(stack: DevStack, order_id: str) -> None:
    """Return once Temporal knows nothing of an order: at once if it ran, half a minute if not."""
    handle = (await temporal_of(stack)).get_workflow_handle(workflow_id_for(order_id))

    async def is_gone() -> bool:
        try:
            await handle.describe()
        except RPCError as error:
            return error.status is RPCStatusCode.NOT_FOUND
        return False

    await eventually(is_gone, "Temporal has forgotten the order", timeout_seconds=120)


@dataclass(frozen=True)
class Answered:
    """A placement and the answer it got."""

    alice: Account
    body: dict[str, Any]
    key: str
    answer: httpx.Response

    @property
    def order_id(self) -> str:
        """The order it stands for."""
        return order_id_for(self.alice.user, self.key)


@pytest.fixture(scope="module", autouse=True)
async def closed(stack: DevStack) -> AsyncIterator[list[Answered]]:
    """A cancelled and a rejected order, which Temporal forgets while the other tests run."""
    too_much = {**RESTING, "numShares": 100_000, "priceInCents": 10_000}
    answered: list[Answered] = []
    async with account(stack.api_url) as alice:
        for body in (RESTING, too_much):
            key = str(uuid4())
            answered.append(Answered(alice, body, key, await place(alice, body, key)))
        await alice.http.delete(f"/order/{answered[0].order_id}")
        for one in answered:
            await delete_workflow(stack, one.order_id)
        yield answered


# -- equal requests at once --------------------------------------------------------------------


async def test_fifty_equal_requests_at_two_nodes_are_one_order_and_one_call(
    stack: DevStack, tmp_path: Path
) -> None:
    key = str(uuid4())
    async with (
        account(stack.api_url) as alice,
        another_node(stack, tmp_path / "log") as (_, url),
        account(url, alice.user) as alice_there,
        exchange_of(stack) as exchange,
        rule(exchange, "place", order_id_for(alice.user, key), "delay", seconds=0.2) as fired,
    ):
        async with asyncio.TaskGroup() as tasks:
            asked = [
                tasks.create_task(place((alice, alice_there)[number % 2], RESTING, key))
                for number in range(50)
            ]
        answers = [task.result() for task in asked]
        later = await place(alice_there, RESTING, key)
        orders = await listed(alice)
        calls = await fired()

    assert {answer.status_code for answer in answers} == {201}
    assert {answer.content for answer in (*answers, later)} == {later.content}
    assert any("idempotent-replayed" not in answer.headers for answer in answers)
    assert later.headers["idempotent-replayed"] == "true"
    assert (len(orders), calls) == (1, 1)


async def test_a_node_that_is_killed_in_the_middle_costs_nobody_a_second_order(
    stack: DevStack, tmp_path: Path
) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        order_id = order_id_for(alice.user, key)
        async with rule(exchange, "place", order_id, "delay-reply", seconds=0.8) as fired:
            async with (
                another_node(stack, tmp_path / "log") as (node, url),
                account(url, alice.user) as alice_there,
                asyncio.TaskGroup() as tasks,
            ):
                lost = tasks.create_task(_lost_answer(alice_there, key))
                await struck(fired)
                await node.kill()
                assert await lost
            found = await listed(alice, key)
            again = await place(alice, RESTING, key)
            await ended(alice, order_id, "submitted")
            replayed = await place(alice, RESTING, key)
            calls = await fired()
        orders = await listed(alice)

    assert [order["id"] for order in found] == [order_id]
    assert again.status_code in (201, 202)
    assert again.json()["id"] == order_id
    assert (replayed.status_code, replayed.headers["idempotent-replayed"]) == (201, "true")
    assert (len(orders), calls) == (1, 1)


async def _lost_answer(alice: Account, key: str) -> bool:
    """True if a placement was never answered."""
    with pytest.raises(httpx.TransportError):
        await place(alice, RESTING, key)
    return True


# -- a key outlives its workflow ---------------------------------------------------------------


async def test_an_undecided_order_that_temporal_forgot_is_taken_up_by_its_repeat(
    stack: DevStack,
) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        order_id = order_id_for(alice.user, key)
        await stack.stop("gateway")
        try:
            undecided = await place(alice, RESTING, key)
            await delete_workflow(stack, order_id)
            await forgotten(stack, order_id)
            again = await place(alice, RESTING, key)
            still_pending = await listed(alice, key)
        finally:
            await stack.start("gateway")
        order = await ended(alice, order_id, "submitted", "failed")
        decided = await place(alice, RESTING, key)
        orders = await listed(alice)
        theirs = await recorded(exchange, order_id)

    assert (undecided.status_code, again.status_code) == (202, 202)
    assert again.json()["id"] == order_id
    assert [one["status"] for one in still_pending] == ["pending"]
    # Whoever waited past send-by was never sent: then the exchange has none.
    assert (theirs is not None) == (order["status"] == "submitted")
    assert decided.status_code == (201 if order["status"] == "submitted" else 422)
    assert decided.headers["idempotent-replayed"] == "true"
    assert len(orders) == 1


async def test_a_reply_is_replayed_after_temporal_forgot_the_order(
    stack: DevStack, closed: list[Answered]
) -> None:
    for one in closed:
        await forgotten(stack, one.order_id)

        again = await place(one.alice, one.body, one.key)
        reused = await place(one.alice, ANOTHER, one.key)

        assert (again.status_code, again.content) == (one.answer.status_code, one.answer.content)
        assert again.headers["idempotent-replayed"] == "true"
        assert (reused.status_code, reused.json()["code"]) == (422, "idempotency-key-reused")
    orders = await listed(closed[0].alice)
    assert [one.answer.status_code for one in closed] == [201, 422]
    assert [order["status"] for order in orders] == ["rejected", "cancelled"]
