"""The dead-man switch going off: every order worker looks which are due, and cancels.

In the order workers, not the API: it is for the moment in which the customer reaches nothing.
"""

import asyncio
import random
from datetime import timedelta
from typing import Any, Final

import structlog

from brokerage.contracts.commands import CancelOrder, OrderKey
from brokerage.contracts.placements import SEND_BY_SECONDS
from brokerage.domain.orders import Order
from brokerage.storage.cancel_after import WentOff, finish, orders_to_cancel, take_due
from brokerage.storage.pool import DatabaseUnavailable, Pool
from workers.order_runs import OrderRuns

log = structlog.get_logger()

ACTOR: Final = "cancel-after"
LOOK_SECONDS: Final = 0.5
DUE_MAX: Final = 20
ORDERS_MAX: Final = 100
AT_ONCE: Final = 8
AGAIN: Final = timedelta(seconds=2)
"""Who takes one in hand and dies is followed by another after this."""
SETTLED: Final = timedelta(seconds=SEND_BY_SECONDS + 2)
"""An order that was claimed before may get its row this much later, and not after."""


async def cancel_after_for_ever(pool: "Pool[Any]", runs: OrderRuns) -> None:
    """See to the switches that are due until cancelled."""
    while True:
        # By chance, so that workers do not look together.
        await asyncio.sleep(LOOK_SECONDS * random.uniform(0.5, 1.5))
        try:
            for went_off in await take_due(pool, limit=DUE_MAX, again=AGAIN, settled=SETTLED):
                await _cancel_all(pool, runs, went_off)
        except DatabaseUnavailable as error:
            log.warning("dead_man_switches_not_seen", error=str(error))


async def _cancel_all(pool: "Pool[Any]", runs: OrderRuns, went_off: WentOff) -> None:
    orders = await orders_to_cancel(pool, went_off, limit=ORDERS_MAX)
    if orders:
        log.warning("dead_man_switch_went_off", user_id=went_off.user_id, orders=len(orders))
    elif went_off.settled:
        await finish(pool, went_off)
    places = asyncio.Semaphore(AT_ONCE)
    wish = CancelOrder(actor=ACTOR, address=went_off.address)

    async def cancel(order: Order) -> None:
        async with places:
            said = await runs.cancel(OrderKey(order.order_id, order.user_id), wish)
        log.info("cancelled_after", order_id=order.order_id, result=said)

    try:
        async with asyncio.TaskGroup() as tasks:
            for order in orders:
                tasks.create_task(cancel(order))
    except* DatabaseUnavailable as errors:
        # It comes round again.
        log.warning("orders_not_cancelled", user_id=went_off.user_id, error=repr(errors))
