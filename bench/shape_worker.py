"""`python -m bench.shape_worker bare|usual`: a worker for the shapes ours is compared with.

Its process, connections and settings are those of `workers.orders`.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import Any, Final

from temporalio.client import Client
from temporalio.worker import PollerBehaviorSimpleMaximum, Worker

from activities.exchange import ExchangeActivities
from activities.notices import Notices
from activities.orders import OrderActivities
from bench.shapes import BARE_TASK_QUEUE, BareOrder, UsualOrder
from brokerage.bus.connection import open_bus
from brokerage.contracts.ids import ORDERS_TASK_QUEUE
from brokerage.gateway.client import GatewayClient
from brokerage.runtime.process import Process, run
from brokerage.runtime.settings import Settings
from brokerage.storage.pool import open_pool
from brokerage.storage.writes import OrderWriter
from workers.orders import GRACEFUL_SHUTDOWN, POLLERS, STICKY_TIMEOUT
from workers.sandbox import production_runner
from workers.temporal import connect_temporal

ACTIVITY_POLLERS: Final = 10
"""Ours needs few for its slow path; here every step of every order is one."""


async def serve(process: Process, settings: Settings) -> None:
    """Run the shape that the command names until the process is asked to stop."""
    async with AsyncExitStack() as resources:
        client = await connect_temporal(settings)
        if sys.argv[1] == "bare":
            worker = _worker(client, settings, BARE_TASK_QUEUE, BareOrder, [])
        else:
            pool = await resources.enter_async_context(open_pool(settings))
            bus = await resources.enter_async_context(open_bus(settings.nats_url, "bench"))
            writer, notices = OrderWriter(pool), Notices(bus)
            books = OrderActivities(writer, notices)
            exchange = ExchangeActivities(writer, GatewayClient(bus), notices)
            steps = [books.reserve, books.settle, exchange.submit]
            worker = _worker(client, settings, ORDERS_TASK_QUEUE, UsualOrder, steps)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(worker.run())
            process.mark_ready()
            await process.stopping.wait()
            await worker.shutdown()


def _worker(
    client: Client, settings: Settings, queue: str, workflow: type, activities: list[Any]
) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=[workflow],
        activities=activities,
        workflow_runner=production_runner(),
        max_concurrent_workflow_tasks=settings.workflow_tasks_max,
        max_concurrent_activities=50,
        max_cached_workflows=1000,
        workflow_task_poller_behavior=PollerBehaviorSimpleMaximum(POLLERS),
        activity_task_poller_behavior=PollerBehaviorSimpleMaximum(ACTIVITY_POLLERS),
        nonsticky_to_sticky_poll_ratio=0.5,
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        graceful_shutdown_timeout=GRACEFUL_SHUTDOWN,
    )


if __name__ == "__main__":
    run(f"bench-{sys.argv[1]}", Settings(), serve)
