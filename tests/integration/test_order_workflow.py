"""The workflow of an order on a real Temporal and Postgres, with an exchange that is told what to
say: a wish that comes before the order, and lives that outgrow one run.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio.client import Client, WorkflowExecutionStatus

from api.order_workflows import OrderWorkflows
from brokerage.contracts.commands import CancelOrder
from brokerage.contracts.gateway import CancelRequest, GatewayReply
from brokerage.contracts.ids import workflow_id_for
from brokerage.storage.migrate import migrate
from devstack.stack import DevStack
from tests.replay.stories import Story, StoryExchange
from tests.replay.worker import StoryWorker
from tests.support.books import accepted, books_of_a_new_user
from tests.support.orders import a_fill
from tests.support.temporal_server import temporal_server
from workflows.labels import ORDER_STATUS

FEW_EVENTS = {"limit.historyCount.suggestContinueAsNew": 20}


@asynccontextmanager
async def story(servers: DevStack, temporal_address: str) -> AsyncIterator[Story]:
    """A user, and an exchange that says what it is told to."""
    database_url = servers.env["SHERWOOD_DATABASE_URL"]
    await migrate(database_url)
    exchange = StoryExchange()
    client = await Client.connect(temporal_address)
    async with books_of_a_new_user(database_url, gateway=exchange) as books:
        yield Story(client, books, exchange, StoryWorker(client, books, servers))


async def test_cancel_that_comes_before_the_order_is_on_record_keeps_it_from_being_sent(
    servers: DevStack,
) -> None:
    async with story(servers, servers.env["SHERWOOD_TEMPORAL_ADDRESS"]) as told:
        told.exchange.replies.append(GatewayReply("absent"))
        start = await told.books.claim()
        workflows = OrderWorkflows(told.client)
        # Nobody works yet: both wait, and are handed to the first worker together.
        placed = await workflows.place(start)
        cancelled = await workflows.cancel(start.order_id, CancelOrder(start.user_id))
        async with told.worker:
            await told.until(start, "cancelled")

        assert (placed, cancelled) == (None, "unreached")
        assert told.exchange.asked == [CancelRequest(start.order_id, None)]
        assert (await told.books.balances()).held_cents == 0


async def test_order_that_outgrows_its_run_goes_on_with_its_cancel_in_the_next(
    servers: DevStack,
) -> None:
    async with (
        temporal_server(FEW_EVENTS) as address,
        story(servers, address) as told,
        told.worker,
    ):
        start = await told.place(accepted("", "x-long"))
        handle = told.client.get_workflow_handle(workflow_id_for(start.order_id))
        first_run = (await handle.describe()).run_id
        for number in range(1, 4):
            fill = a_fill(f"long-{number}", 1, 19_990, feed_seq=900 + number, external="x-long")
            await told.report(start, fill)
        # The exchange is silent first, and a fill comes meanwhile; then it counts one more.
        await told.cancel(start, GatewayReply("unknown"))
        fill = a_fill("long-4", 1, 19_990, feed_seq=904, external="x-long")
        await told.report(start, fill)
        told.exchange.replies.append(
            accepted(start.order_id, "x-long", "cancelled", 5, outcome="cancelled")
        )
        await told.until_ended_there(start)
        fill = a_fill("long-5", 1, 19_990, feed_seq=905, external="x-long")
        await told.report(start, fill)
        status = await handle.result()
        last = await handle.describe()
        first = await told.client.get_workflow_handle(handle.id, run_id=first_run).describe()
        balances = await told.books.balances()

    assert status == "cancelled"
    assert first.status is WorkflowExecutionStatus.CONTINUED_AS_NEW
    assert last.run_id != first_run
    assert last.typed_search_attributes.get(ORDER_STATUS) is None
    assert (balances.held_cents, balances.positions[0].shares) == (0, 55)
