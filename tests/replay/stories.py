"""What happens to the orders whose histories are recorded: a function a story, named as its file.

Placing and cancelling goes through the code of the API, reports through that of the executions
process; only the exchange is told what to say.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from temporalio.client import Client

import api.order_workflows
import streaming.order_workflows
from brokerage.contracts.commands import CancelOrder, StartOrder
from brokerage.contracts.events import ExecutionReport
from brokerage.contracts.gateway import CancelRequest, GatewayReply, PlaceRequest, QueryRequest
from brokerage.contracts.ids import workflow_id_for
from brokerage.storage.reads import Route, order_of_user
from tests.replay.worker import StoryWorker
from tests.support.books import SEND_BY_SECONDS, Books, ToldGateway, accepted
from tests.support.eventually import eventually
from tests.support.orders import a_bust, a_fill, an_end
from workers.order_runs import ensure_run


class StoryExchange(ToldGateway):
    """Says what was put into `replies`; without one that it does not know, or, `empty`, that it
    never answers a placement and has no order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.empty = False

    def _answer(self, request: PlaceRequest | CancelRequest | QueryRequest) -> GatewayReply:
        if self.replies and _is_about(self.replies[0], request.client_order_id):
            return super()._answer(request)
        absent = self.empty and not isinstance(request, PlaceRequest)
        return GatewayReply("absent" if absent else "unknown")


@dataclass(frozen=True)
class Story:
    """One order being told: what its customer and the exchange do, one after the other."""

    client: Client
    books: Books
    exchange: StoryExchange
    worker: StoryWorker

    async def place(self, *replies: GatewayReply, **terms: Any) -> StartOrder:
        """Place an order; `replies` are the exchange's, the order's own id filled in."""
        start = await self.books.claim(**terms)
        self.exchange.replies += [_about(start.order_id, reply) for reply in replies]
        await api.order_workflows.OrderWorkflows(self.client).place(start)
        return start

    async def report(self, start: StartOrder, *reports: ExecutionReport) -> None:
        """Tell the workflow what the exchange reported; returns when it is booked."""
        route = Route(start.order_id, start.user_id)
        workflows = streaming.order_workflows.OrderWorkflows(
            self.client, partial(order_of_user, self.books.pool)
        )

        async def told() -> bool:
            try:
                await workflows.fill(route, reports)
            except streaming.order_workflows.NotTold:
                return False
            return True

        await eventually(told, "the reports are booked")

    async def cancel(self, start: StartOrder, reply: GatewayReply) -> None:
        """Ask for the rest to go; the exchange answers `reply`."""
        self.exchange.replies.append(_about(start.order_id, reply))
        command = CancelOrder(start.user_id, "192.0.2.1")
        workflows = api.order_workflows.OrderWorkflows(self.client)

        async def recorded() -> bool:
            return await workflows.cancel(start.order_id, command) == "recorded"

        await eventually(recorded, "the wish is on record")

    async def adopt(self, start: StartOrder) -> None:
        """Have a run take the order over from its row, as the sweep does."""
        order = await order_of_user(self.books.pool, start.user_id, start.order_id)
        assert order is not None
        await ensure_run(self.client, order)

    async def until(self, start: StartOrder, status: str) -> None:
        """Wait for the order's row."""

        async def reached() -> bool:
            order = await order_of_user(self.books.pool, start.user_id, start.order_id)
            return order is not None and order.status == status

        await eventually(reached, f"the order is {status}")

    async def ended(self, start: StartOrder) -> None:
        """Wait for the end of the workflow."""
        await self.client.get_workflow_handle(workflow_id_for(start.order_id)).result()

    async def until_ended_there(self, start: StartOrder) -> None:
        """Wait until the exchange's word that the order ended is on record."""

        async def has() -> bool:
            order = await order_of_user(self.books.pool, start.user_id, start.order_id)
            return order is not None and order.end_status is not None

        await eventually(has, "the order has ended at the exchange")


def _is_about(reply: GatewayReply, order_id: str | None) -> bool:
    """False if the reply names another order: one of a test before may still be asked about."""
    return reply.order is None or reply.order.client_order_id == order_id


def _about(order_id: str, reply: GatewayReply) -> GatewayReply:
    external = reply.order
    if external is None:
        return reply
    return accepted(
        order_id,
        external.external_order_id,
        external.status,
        external.cumulative_shares,
        outcome=reply.outcome,
    )


def _said(outcome: str, external: str, status: str = "open", cumulative: int = 0) -> GatewayReply:
    return accepted("", external, status, cumulative, outcome=outcome)


async def filled(story: Story) -> StartOrder:
    """Accepted, then filled at once."""
    start = await story.place(_said("accepted", "x-filled"))
    await story.report(start, a_fill("filled-1", 10, 19_990, feed_seq=1, external="x-filled"))
    return start


async def filled_in_parts(story: Story) -> StartOrder:
    """Three fills in two reports."""
    start = await story.place(_said("accepted", "x-parts"))
    await story.report(start, a_fill("parts-1", 3, 19_990, feed_seq=2, external="x-parts"))
    await story.report(
        start,
        a_fill("parts-2", 3, 19_995, feed_seq=3, external="x-parts"),
        a_fill("parts-3", 4, 20_000, feed_seq=4, external="x-parts"),
    )
    return start


async def cancelled(story: Story) -> StartOrder:
    """Nothing traded, and the customer cancels."""
    start = await story.place(_said("accepted", "x-cancelled"))
    await story.cancel(start, _said("cancelled", "x-cancelled", "cancelled", 0))
    return start


async def cancelled_after_partial_fill(story: Story) -> StartOrder:
    """The exchange's answer to the cancel counts a fill that is told only after it."""
    start = await story.place(_said("accepted", "x-late"))
    await story.report(start, a_fill("late-1", 4, 19_990, feed_seq=5, external="x-late"))
    await story.cancel(start, _said("cancelled", "x-late", "cancelled", 6))
    await story.until(start, "pending_cancel")
    await story.report(start, a_fill("late-2", 2, 19_990, feed_seq=6, external="x-late"))
    return start


async def cancel_refused_then_filled(story: Story) -> StartOrder:
    """The exchange keeps the order, and it fills."""
    start = await story.place(_said("accepted", "x-kept"))
    await story.cancel(start, GatewayReply("refused", code="trading"))
    await story.until(start, "submitted")
    await story.report(start, a_fill("kept-1", 10, 19_990, feed_seq=7, external="x-kept"))
    return start


async def too_late_to_cancel(story: Story) -> StartOrder:
    """It was filled before the cancel arrived; the fill is told only after the answer."""
    start = await story.place(_said("accepted", "x-too-late"))
    await story.cancel(start, _said("too-late", "x-too-late", "filled", 10))
    await story.until_ended_there(start)
    await story.report(start, a_fill("too-late-1", 10, 19_990, feed_seq=13, external="x-too-late"))
    return start


async def filled_after_it_was_cancelled(story: Story) -> StartOrder:
    """The exchange executed four more than it had counted: a run that adopts the ended order."""
    start = await story.place(_said("accepted", "x-after"))
    await story.cancel(start, _said("cancelled", "x-after", "cancelled", 0))
    await story.ended(start)
    await story.report(start, a_fill("after-1", 4, 19_990, feed_seq=14, external="x-after"))
    return start


async def busted(story: Story) -> StartOrder:
    """Filled, and the execution is taken back later: a run that adopts the ended order."""
    start = await story.place(_said("accepted", "x-busted"))
    await story.report(start, a_fill("busted-1", 10, 19_990, feed_seq=15, external="x-busted"))
    await story.ended(start)
    await story.report(start, a_bust("busted-2", "busted-1", feed_seq=16, external="x-busted"))
    return start


async def placed_with_a_worker_that_died(story: Story) -> StartOrder:
    """Killed when it was about to send the order: another sends it, after the task's timeout."""
    await story.worker.stop()
    async with story.worker.dies_at("submit"):
        start = await story.place()
    await story.worker.start()
    story.exchange.replies.append(_about(start.order_id, _said("accepted", "x-killed")))
    await story.until(start, "submitted")
    await story.report(start, a_fill("killed-1", 10, 19_990, feed_seq=17, external="x-killed"))
    return start


async def adopted_by_the_sweep(story: Story) -> StartOrder:
    """Its workflow was terminated while nobody knew whether the exchange has the order."""
    start = await story.place()
    await story.until(start, "pending")
    await story.client.get_workflow_handle(workflow_id_for(start.order_id)).terminate()
    await story.adopt(start)
    taken = _about(start.order_id, _said("accepted", "x-adopted"))
    # One may be taken by the last attempt of the run that was terminated.
    story.exchange.replies += [taken, taken]
    await story.until(start, "submitted")
    story.exchange.replies.clear()
    await story.report(start, a_fill("adopted-1", 10, 19_990, feed_seq=18, external="x-adopted"))
    return start


async def expired(story: Story) -> StartOrder:
    """The day ends."""
    start = await story.place(_said("accepted", "x-expired"))
    await story.report(start, an_end("expired", 0, feed_seq=8, external="x-expired"))
    return start


async def rejected(story: Story) -> StartOrder:
    """Not enough buying power."""
    return await story.place(shares=51)


async def refused_by_exchange(story: Story) -> StartOrder:
    """The exchange's no."""
    return await story.place(GatewayReply("refused", code="symbol-asleep"))


async def unknown_then_accepted(story: Story) -> StartOrder:
    """No answer to the placement; asked again, the exchange has the order, which then fills."""
    start = await story.place(GatewayReply("unknown"), _said("accepted", "x-unknown"))
    await story.until(start, "submitted")
    await story.report(start, a_fill("unknown-1", 10, 19_990, feed_seq=9, external="x-unknown"))
    return start


async def fill_before_the_answer(story: Story) -> StartOrder:
    """The placement's answer is lost; the fill tells that it was taken."""
    start = await story.place()
    await story.report(start, a_fill("before-1", 10, 19_990, feed_seq=10, external="x-before"))
    return start


async def ioc_filled_before_the_answer(story: Story) -> StartOrder:
    """The answer that said "four of ten, the rest cancelled" is lost, and the four come first."""
    start = await story.place(time_in_force="ioc")
    await story.report(start, a_fill("ioc-1", 4, 19_990, feed_seq=12, external="x-ioc"))
    found = _about(start.order_id, _said("found", "x-ioc", "cancelled", 4))
    # One may be taken by an attempt to place that was under way when the fill came.
    story.exchange.replies += [found, found]
    await story.until(start, "cancelled")
    story.exchange.replies.clear()
    return start


async def unknown_then_absent(story: Story) -> StartOrder:
    """No answer to the placement; in the end it is proved that the exchange never had it."""
    story.exchange.empty = True
    # Placed with two of its seconds left, so that nobody waits for the proof that long.
    claimed_at = datetime.now(UTC) - timedelta(seconds=SEND_BY_SECONDS - 2)
    start = await story.place(claimed_at_ms=int(claimed_at.timestamp() * 1000))
    await story.until(start, "failed")
    return start


Tell = Callable[[Story], Awaitable[StartOrder]]

STORIES: Final[tuple[Tell, ...]] = (
    filled,
    filled_in_parts,
    cancelled,
    cancelled_after_partial_fill,
    cancel_refused_then_filled,
    too_late_to_cancel,
    filled_after_it_was_cancelled,
    busted,
    placed_with_a_worker_that_died,
    adopted_by_the_sweep,
    expired,
    rejected,
    refused_by_exchange,
    unknown_then_accepted,
    fill_before_the_answer,
    ioc_filled_before_the_answer,
    unknown_then_absent,
)


def name_of(tell: Tell) -> str:
    """What the story is called: its function's name, and its history's."""
    name: str = getattr(tell, "__name__")  # noqa: B009 - a callable need not have one
    return name
