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
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from brokerage.contracts.ids import order_id_for, workflow_id_for
from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.eventually import eventually
from tests.support.exchange_rules import exchange_of, recorded, rule, struck
from tests.support.ports import free_port
from tests.support.proxy import proxy_to
from tests.support.running import Running, running
from tests.support.trading import RESTING, answered, cancelled, decided, ended, place

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


async def was_held_up(stack: DevStack, order_id: str) -> bool:
    """True if the way to the exchange took so long that the order was sent again, as it should."""
    handle = (await temporal_of(stack)).get_workflow_handle(workflow_id_for(order_id))
    kinds = {event.event_type for event in (await handle.fetch_history()).events}
    return not kinds.isdisjoint(
        {
            EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
            EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
        }
    )


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
    both: list[Answered] = []
    async with account(stack.api_url) as alice:
        for body in (RESTING, too_much):
            key = str(uuid4())
            both.append(Answered(alice, body, key, await decided(alice, body, key)))
        await cancelled(alice, both[0].order_id)
        for one in both:
            await delete_workflow(stack, one.order_id)
        yield both


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
        later = await answered(alice_there, RESTING, 201, key)
        orders = await listed(alice)
        calls = await fired()
        held_up = await was_held_up(stack, order_id_for(alice.user, key))

    taken = {answer.content for answer in answers if answer.status_code == 201}
    assert taken <= {later.content}
    # Nobody is told to ask again who did not wait for it.
    others = [answer for answer in answers if answer.status_code != 201]
    assert {answer.status_code for answer in others} <= {202, 503}
    assert all(answer.elapsed.total_seconds() > 0.4 for answer in others)
    assert any("idempotent-replayed" not in answer.headers for answer in answers)
    assert later.headers["idempotent-replayed"] == "true"
    assert len(orders) == 1
    assert calls == 1 or held_up


async def test_a_node_that_is_killed_in_the_middle_costs_nobody_a_second_order(
    stack: DevStack, tmp_path: Path
) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        order_id = order_id_for(alice.user, key)
        async with rule(exchange, "place", order_id, "delay-reply", seconds=0.5) as fired:
            async with (
                another_node(stack, tmp_path / "log") as (node, url),
                proxy_to(url) as way,
                account(way.url, alice.user) as alice_there,
                asyncio.TaskGroup() as tasks,
            ):
                # However late the kill comes, the answer was not there before.
                way.hold(answers_only=True)
                lost = tasks.create_task(_lost_answer(alice_there, key))
                await struck(fired)
                await node.kill()
                way.close_up()
                assert await lost
            found = await listed(alice, key)
            again = await decided(alice, RESTING, key)
            await ended(alice, order_id, "submitted")
            replayed = await answered(alice, RESTING, 201, key)
            calls = await fired()
        orders = await listed(alice)
        held_up = await was_held_up(stack, order_id)

    assert [order["id"] for order in found] == [order_id]
    assert (again.status_code, again.json()["id"]) == (201, order_id)
    assert replayed.headers["idempotent-replayed"] == "true"
    assert len(orders) == 1
    assert calls == 1 or held_up


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
            await answered(alice, RESTING, 202, key)
            await delete_workflow(stack, order_id)
            await forgotten(stack, order_id)
            again = await answered(alice, RESTING, 202, key)
            still_pending = await listed(alice, key)
        finally:
            await stack.start("gateway")
        order = await ended(alice, order_id, "submitted", "failed")
        settled = await decided(alice, RESTING, key)
        orders = await listed(alice)
        theirs = await recorded(exchange, order_id)

    assert again.json()["id"] == order_id
    assert [one["status"] for one in still_pending] == ["pending"]
    # Whoever waited past send-by was never sent: then the exchange has none.
    assert (theirs is not None) == (order["status"] == "submitted")
    assert settled.status_code == (201 if order["status"] == "submitted" else 422)
    assert settled.headers["idempotent-replayed"] == "true"
    assert len(orders) == 1


async def test_a_reply_is_replayed_after_temporal_forgot_the_order(
    stack: DevStack, closed: list[Answered]
) -> None:
    for one in closed:
        await forgotten(stack, one.order_id)

        again = await answered(one.alice, one.body, one.answer.status_code, one.key)
        reused = await answered(one.alice, ANOTHER, 422, one.key)

        assert again.content == one.answer.content
        assert again.headers["idempotent-replayed"] == "true"
        assert reused.json()["code"] == "idempotency-key-reused"
    orders = await listed(closed[0].alice)
    assert [one.answer.status_code for one in closed] == [201, 422]
    assert [order["status"] for order in orders] == ["rejected", "cancelled"]
