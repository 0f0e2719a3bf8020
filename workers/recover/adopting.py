"""A run for every order that something can still happen to, started from its row."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from brokerage.contracts.commands import adopt_order
from brokerage.domain.orders import Order
from brokerage.storage.pool import Pool
from brokerage.storage.recovery_reads import unfinished_orders
from workers.recover.preconditions import Tell
from workflows.adoption import adoption
from workflows.order import OrderWorkflow

PAGE: Final = 200
STARTS_PER_SECOND: Final = 200
"""So that those who trade meanwhile are not in the way: a worker takes in about as many."""
STARTS_MAX: Final = 20
"""Under way at once."""
CALL_TIMEOUT: Final = timedelta(seconds=5)


@dataclass(slots=True)
class Adopted:
    """How many rows needed a run, and how many of these were started now."""

    orders: int = 0
    started: int = 0


async def adopt_all(pool: "Pool[Any]", client: Client, tell: Tell) -> Adopted:
    """Start a run for each unfinished order that has none. Raises `DatabaseUnavailable`, RPCError.

    A run that was begun in the meantime, by the sweep or a customer's cancel, is left as it is.
    """
    adopted = Adopted()
    async for page in _pages(pool):
        began = time.monotonic()
        slots = asyncio.Semaphore(STARTS_MAX)

        async def start(order: Order, slots: asyncio.Semaphore = slots) -> bool:
            async with slots:
                return await _start(client, order)

        async with asyncio.TaskGroup() as tasks:
            starts = [tasks.create_task(start(order)) for order in page]
        adopted.orders += len(page)
        adopted.started += sum(task.result() for task in starts)
        tell(f"orders with a run: {adopted.orders}")
        await asyncio.sleep(max(0.0, began + len(page) / STARTS_PER_SECOND - time.monotonic()))
    return adopted


async def _pages(pool: "Pool[Any]") -> AsyncIterator[list[Order]]:
    last: Order | None = None
    while page := await unfinished_orders(pool, after=last, limit=PAGE):
        yield page
        last = page[-1]


async def _start(client: Client, order: Order) -> bool:
    """True if a run was started, False if there was one."""
    options = adoption(order)
    options["id_conflict_policy"] = WorkflowIDConflictPolicy.FAIL
    try:
        await client.start_workflow(
            OrderWorkflow.run,
            adopt_order(order.order_id, order.user_id),
            **options,
            rpc_timeout=CALL_TIMEOUT,
        )
    except WorkflowAlreadyStartedError:
        return False
    return True
