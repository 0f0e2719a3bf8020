"""What operators see of orders in Temporal, on real servers, and what showing it costs."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle

from brokerage.contracts.commands import StartOrder
from brokerage.contracts.gateway import GatewayReply
from brokerage.contracts.ids import workflow_id_for
from brokerage.storage.migrate import migrate
from client.command.ops.queries import QUERIES
from devstack.stack import DevStack
from tests.replay.stories import Story, StoryExchange
from tests.replay.worker import StoryWorker
from tests.support.books import accepted, books_of_a_new_user
from tests.support.eventually import eventually
from tests.support.orders import a_fill
from workflows.labels import ORDER_STATUS, labels
from workflows.order import OrderWorkflow

EVENTS_MAX: Final = 18
TRANSITIONS_MAX: Final = 4
"""Of an order with one fill: what a Postgres under Temporal can carry is counted in these."""


def new_id() -> str:
    """An id that the exchange never gave before."""
    return uuid4().hex


@pytest.fixture
async def told(servers: DevStack) -> AsyncIterator[Story]:
    """A user of this test's own, and an exchange that says what it is told to."""
    database_url = servers.env["SHERWOOD_DATABASE_URL"]
    await migrate(database_url)
    exchange = StoryExchange()
    client = await Client.connect(servers.env["SHERWOOD_TEMPORAL_ADDRESS"])
    async with (
        books_of_a_new_user(database_url, gateway=exchange) as books,
        StoryWorker(client, books, servers) as worker,
    ):
        yield Story(client, books, exchange, worker)


def run_of(told: Story, start: StartOrder) -> WorkflowHandle[OrderWorkflow, str]:
    return told.client.get_workflow_handle_for(OrderWorkflow.run, workflow_id_for(start.order_id))


async def events_of(handle: WorkflowHandle[OrderWorkflow, str]) -> list[HistoryEvent]:
    return list((await handle.fetch_history()).events)


async def metadata_of(told: Story, start: StartOrder) -> WorkflowMetadata:
    """What the UI asks a run for."""
    metadata: WorkflowMetadata = await run_of(told, start).query(
        "__temporal_workflow_metadata", result_type=WorkflowMetadata
    )
    return metadata


async def details_of(told: Story, start: StartOrder) -> str:
    return (await metadata_of(told, start)).current_details


async def until_details(told: Story, start: StartOrder, begin: str) -> None:
    async def say() -> None:
        assert (await details_of(told, start)).startswith(begin)

    await eventually(say, f"the details say {begin}")


async def until_found(told: Story, name: str, *starts: StartOrder) -> None:
    """Return once this saved query finds these orders and no others; what is listed lags behind."""
    query = f'{QUERIES[name]} AND UserId = "{told.books.user_id}"'

    async def found() -> None:
        ids = {one.id async for one in told.client.list_workflows(query)}
        assert ids == {workflow_id_for(start.order_id) for start in starts}

    await eventually(found, f"{name} finds {len(starts)} orders")


async def unanswered(told: Story) -> StartOrder:
    """An order of which the exchange says nothing yet."""
    start = await told.place()
    await until_details(told, start, "**Unknown outcome.**")
    return start


async def uncancelled(told: Story) -> StartOrder:
    """An order whose cancel the exchange has not answered yet."""
    start = await told.place(accepted("", new_id()))
    await told.cancel(start, GatewayReply("unknown"))
    await until_details(told, start, "**Waiting for cancel.**")
    return start


async def filled(told: Story) -> StartOrder:
    """Accepted, then filled at once."""
    external = new_id()
    start = await told.place(accepted("", external))
    await told.report(start, a_fill(new_id(), 10, 19_990, external=external))
    return start


async def found_then_filled(told: Story) -> StartOrder:
    """Filled, but first nobody knew whether the exchange had it."""
    external = new_id()
    start = await told.place(GatewayReply("unknown"), accepted("", external))
    await told.until(start, "submitted")
    await told.report(start, a_fill(new_id(), 10, 19_990, external=external))
    return start


async def cancelled(told: Story) -> StartOrder:
    """Cancelled, with an answer to each question."""
    start = await told.place(accepted("", new_id()))
    await told.cancel(start, accepted("", new_id(), "cancelled", outcome="cancelled"))
    return start


@pytest.mark.parametrize(
    ("tell", "events", "transitions", "relabelled"),
    [
        (filled, EVENTS_MAX, TRANSITIONS_MAX, 0),
        # Four events more than without the label, the first two for the patch: a marker, and the
        # attribute by which Temporal lists the runs that have it.
        (found_then_filled, 25, 8, 2),
        (cancelled, 25, 8, 2),
    ],
)
async def test_only_an_order_that_waits_for_the_exchange_pays_for_its_label(
    told: Story,
    tell: Callable[[Story], Awaitable[StartOrder]],
    events: int,
    transitions: int,
    relabelled: int,
) -> None:
    async def costs_no_more() -> None:
        told.exchange.replies.clear()
        handle = run_of(told, await tell(told))

        await handle.result()

        info = (await handle.describe()).raw_description.workflow_execution_info
        changed = [
            event.upsert_workflow_search_attributes_event_attributes.search_attributes
            for event in await events_of(handle)
            if event.event_type == EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES
        ]
        assert sum(ORDER_STATUS.name in one.indexed_fields for one in changed) == relabelled
        assert info.history_length <= events
        assert info.state_transition_count <= transitions

    # What a busy machine holds up is done in more steps: then it takes another order.
    await eventually(costs_no_more, "an order costs no more", 120)


@pytest.mark.parametrize(
    ("tell", "query", "outcome"),
    [
        (unanswered, "Unknown outcome", "accepted"),
        (uncancelled, "Waiting for cancel", "refused"),
    ],
)
async def test_a_saved_query_finds_what_waits_for_as_long_as_it_waits(
    told: Story, tell: Callable[[Story], Awaitable[StartOrder]], query: str, outcome: str
) -> None:
    resting = await told.place(accepted("", new_id()))
    waiting = await tell(told)

    await until_found(told, query, waiting)
    await until_found(told, "Open orders", waiting, resting)
    told.exchange.replies.append(accepted(waiting.order_id, new_id(), outcome=outcome))
    await told.until(waiting, "submitted")

    await until_found(told, query)
    await until_found(told, "Open orders", waiting, resting)


async def test_a_run_whose_code_works_is_not_among_those_that_fail(told: Story) -> None:
    await told.place(accepted("", new_id()))

    await until_found(told, "Failing run")


async def test_a_run_that_was_ended_by_hand_is_found(told: Story) -> None:
    start = await told.place(accepted("", new_id()))

    await run_of(told, start).terminate("the test ends it")

    await until_found(told, "Ended badly", start)


async def test_details_follow_an_order_through_its_life(told: Story) -> None:
    start = await unanswered(told)
    said = [await details_of(told, start)]
    told.exchange.replies += [accepted(start.order_id, "x-life")]
    await until_details(told, start, "**At the exchange** as `x-life`, 0 of 10 shares filled.")
    said.append(await details_of(told, start))
    await told.cancel(start, accepted("", "x-life", "cancelled", 0, outcome="cancelled"))
    await until_details(told, start, "**Cancelled** since")
    said.append(await details_of(told, start))

    assert ["**Next:**" in text for text in said] == [True, True, False]


async def test_every_step_of_the_timeline_has_a_summary(told: Story) -> None:
    start = await found_then_filled(told)
    await run_of(told, start).result()

    steps = {
        event.user_metadata.summary.data.decode()
        for event in await events_of(run_of(told, start))
        if event.event_type
        in (EventType.EVENT_TYPE_MARKER_RECORDED, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
        and event.marker_recorded_event_attributes.marker_name != "core_patch"
    }

    assert steps == {
        '"write the row, hold cash or shares"',
        '"send to the exchange"',
        '"find out if the exchange has it"',
        '"book executions"',
    }


async def test_updates_say_what_they_are_for(told: Story) -> None:
    start = await told.place(accepted("", new_id()))

    updates = (await metadata_of(told, start)).definition.update_definitions

    described = {one.name: one.description for one in updates}
    assert set(described) == {"placed", "fill", "cancel"}
    assert all(described.values())


async def test_a_run_that_takes_over_an_order_is_found_like_the_one_that_placed_it(
    told: Story,
) -> None:
    start = await told.place(accepted("", "x-adopted"))
    first = await run_of(told, start).describe()
    await run_of(told, start).terminate("the test ends it")

    await told.adopt(start)

    await until_details(told, start, "**At the exchange** as `x-adopted`")
    second = await run_of(told, start).describe()
    assert second.status is WorkflowExecutionStatus.RUNNING
    assert second.run_id != first.run_id
    assert second.typed_search_attributes == first.typed_search_attributes
    assert await second.static_summary() == await first.static_summary()
    assert await first.static_summary() == labels(start)["static_summary"]
