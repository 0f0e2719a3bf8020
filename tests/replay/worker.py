"""The worker of the stories: that of orders, with an exchange that is told what to say."""

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, Self

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from activities.exchange import ExchangeActivities
from activities.notices import Notices
from activities.orders import OrderActivities
from brokerage.contracts.ids import ORDERS_TASK_QUEUE
from devstack.stack import DevStack
from tests.support.books import Books
from tests.support.eventually import eventually
from tests.support.running import running
from workers.sandbox import production_runner
from workflows.order import OrderWorkflow

IDENTITY: Final = "recorder"


def worker_of(client: Client, books: Books, *instead: Callable[..., Any]) -> Worker:
    """Runs orders as the order worker does; an activity in `instead` takes its namesake's place."""
    notices = Notices(books.bus)
    orders = OrderActivities(books.writer, notices)
    exchange = ExchangeActivities(books.writer, books.gateway, notices)
    activities: list[Callable[..., Any]] = [
        orders.reserve,
        orders.adopt,
        orders.settle,
        orders.request_cancel,
        exchange.submit,
        exchange.resolve_submission,
        exchange.send_cancel,
    ]
    taken = {_name(one) for one in instead}
    return Worker(
        client,
        task_queue=ORDERS_TASK_QUEUE,
        workflows=[OrderWorkflow],
        activities=[*(one for one in activities if _name(one) not in taken), *instead],
        workflow_runner=production_runner(),
        identity=IDENTITY,
    )


def _name(function: Callable[..., Any]) -> str:
    return str(activity._Definition.must_from_callable(function).name)


class StoryWorker:
    """Runs the orders of the stories as long as the block; a story may stop it meanwhile."""

    def __init__(self, client: Client, books: Books, stack: DevStack) -> None:
        self._client = client
        self._books = books
        self._stack = stack
        self._stopping = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Run orders as the order worker does."""
        await self._stopping.enter_async_context(worker_of(self._client, self._books))

    async def stop(self) -> None:
        """Stop as for a new release."""
        await self._stopping.aclose()

    @asynccontextmanager
    async def dies_at(self, activity: str) -> AsyncIterator[None]:
        """Within the block a process runs orders that is killed once it begins this activity."""
        log = self._stack.home.root / "dying-worker.log"
        addresses = (
            self._stack.env["SHERWOOD_TEMPORAL_ADDRESS"],
            self._stack.env["SHERWOOD_DATABASE_URL"],
        )
        command = ("tests.replay.dying_worker", *addresses, activity)
        async with running(*command, environment={}, ready_url=None, log=log) as process:
            await eventually(lambda: log.exists() and "polling" in process.said(), "it polls")
            yield
            assert await process.end() == -signal.SIGKILL
