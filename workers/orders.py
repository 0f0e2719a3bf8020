"""`python -m workers.orders`: runs the orders' workflows and their activities.

One process uses one core: workflow code is single-threaded in Python. More processes take more.
"""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import PollerBehaviorSimpleMaximum, Worker, WorkerDeploymentConfig

from activities.exchange import ExchangeActivities
from activities.notices import Notices
from activities.orders import OrderActivities
from activities.reconciliation import ReconciliationActivities
from brokerage.bus.connection import Bus, open_bus
from brokerage.contracts.ids import ORDERS_TASK_QUEUE
from brokerage.gateway.client import GatewayClient
from brokerage.runtime.metrics import export_too
from brokerage.runtime.process import Process, run
from brokerage.runtime.settings import Settings
from brokerage.storage.pool import open_pool
from brokerage.storage.writes import OrderWriter
from workers.bound_logs import BoundLogs
from workers.cancel_after import cancel_after_for_ever
from workers.opening import StoppedEarly, enter, unless_stopped
from workers.order_runs import OrderRuns
from workers.reconciling import ensure_schedule, reconciliation_activities, show_age_for_ever
from workers.sandbox import production_runner
from workers.spreading import SpreadRetries
from workers.sweep import sweep_for_ever
from workers.temporal import connect_temporal
from workflows.client import ensure_search_attributes
from workflows.order import OrderWorkflow
from workflows.reconciliation import ReconciliationWorkflow
from workflows.sdk_metrics import count_sdk

DEPLOYMENT = "orders"
"""What Temporal calls all releases of this worker together."""
GRACEFUL_SHUTDOWN = timedelta(seconds=10)
"""Longer than the fast path and the database together: what has begun is finished."""
POLLERS = 10
"""Half of them on the queue where new orders arrive; the SDK's default leaves one there."""
STICKY_TIMEOUT = timedelta(seconds=2)
"""How long a fill waits for a worker that died before another takes over."""


def deployment_config(build_id: str | None) -> WorkerDeploymentConfig | None:
    """How a worker of this release takes part in the deployment; None for an unversioned one.

    An order may be open for weeks, so it moves on to the release that is current: pinned to its
    own, every release would have to keep workers until its last order ends.
    """
    if build_id is None:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(DEPLOYMENT, build_id),
        use_worker_versioning=True,
        # Here and not at the workflow: the server refuses a behaviour without a deployment.
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )


def order_worker(
    client: Client,
    settings: Settings,
    writer: OrderWriter,
    bus: Bus,
    reconciling: ReconciliationActivities,
) -> Worker:
    """The Temporal worker of one process."""
    notices = Notices(bus)
    books = OrderActivities(writer, notices)
    exchange = ExchangeActivities(writer, GatewayClient(bus), notices)
    return Worker(
        client,
        task_queue=ORDERS_TASK_QUEUE,
        workflows=[OrderWorkflow, ReconciliationWorkflow],
        activities=[
            books.reserve,
            books.adopt,
            books.settle,
            books.request_cancel,
            exchange.submit,
            exchange.resolve_submission,
            exchange.send_cancel,
            reconciling.begin_reconciliation,
            reconciling.look_at_orders,
            reconciling.look_again,
            reconciling.look_at_books,
            reconciling.heal,
            reconciling.note_differences,
            reconciling.conclude_reconciliation,
        ],
        workflow_runner=production_runner(),
        deployment_config=deployment_config(settings.worker_build_id),
        interceptors=[BoundLogs(), SpreadRetries()],
        max_concurrent_workflow_tasks=settings.workflow_tasks_max,
        max_concurrent_local_activities=50,
        max_concurrent_activities=50,
        max_cached_workflows=1000,
        workflow_task_poller_behavior=PollerBehaviorSimpleMaximum(POLLERS),
        activity_task_poller_behavior=PollerBehaviorSimpleMaximum(2),
        nonsticky_to_sticky_poll_ratio=0.5,
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        graceful_shutdown_timeout=GRACEFUL_SHUTDOWN,
    )


async def serve(process: Process, settings: Settings) -> None:
    """Run orders until the process is asked to stop."""
    async with AsyncExitStack() as stack:
        try:
            pool = await enter(stack, process.stopping, open_pool(settings))
            bus = await enter(stack, process.stopping, open_bus(settings.nats_url, "orders"))
            client = await unless_stopped(process.stopping, connect_temporal(settings))
            await ensure_search_attributes(client)
            await ensure_schedule(client)
        except StoppedEarly:
            return
        reconciling = reconciliation_activities(pool, bus, client)
        worker = order_worker(client, settings, OrderWriter(pool), bus, reconciling)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(worker.run())
            dead_man = tasks.create_task(cancel_after_for_ever(pool, OrderRuns(client, pool, bus)))
            sweeping = tasks.create_task(sweep_for_ever(pool, client))
            showing = tasks.create_task(show_age_for_ever(pool))
            process.mark_ready()
            await process.stopping.wait()
            sweeping.cancel()
            dead_man.cancel()
            showing.cancel()
            await worker.shutdown()


if __name__ == "__main__":
    export_too(count_sdk())
    run("orders", Settings(), serve)
