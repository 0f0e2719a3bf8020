"""Orders that wait for the exchange's answer, and whether anybody still asks for it.

Each has a workflow that asks until it knows. Where that is gone (terminated by hand, lost with
Temporal's store) the order would wait for ever: so every worker looks at the few such orders now
and then, and has a run that adopts the row take over. Where the workflow runs, that does nothing.
"""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from prometheus_client import Gauge
from temporalio.client import Client
from temporalio.service import RPCError

from brokerage.domain.orders import Order
from brokerage.storage.pool import DatabaseUnavailable, Pool
from brokerage.storage.unanswered import unanswered_orders
from workers.order_runs import ensure_run

log = structlog.get_logger()

SWEEP_SECONDS: Final = 30.0
"""Between two walks; each differs, so that workers do not walk together."""
QUIET_SECONDS: Final = 30.0
"""An order that changed since then is being seen to."""
PAGE: Final = 200
UNANSWERED: Final = Gauge(
    "sherwood_orders_unanswered",
    "Orders that wait for the exchange for more than 30 s, at this worker's last look.",
)


async def sweep_for_ever(pool: "Pool[Any]", client: Client) -> None:
    """Walk every half a minute until cancelled; a walk that fails is given up for the next one."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS * random.uniform(0.5, 1.5))
        try:
            count = await sweep(pool, client)
        except (DatabaseUnavailable, RPCError) as error:
            log.warning("sweep_given_up", error=repr(error))
        else:
            UNANSWERED.set(count)
            if count:
                log.info("sweep_done", unanswered=count)


async def sweep(pool: "Pool[Any]", client: Client, quiet_seconds: float = QUIET_SECONDS) -> int:
    """See that every unanswered order has a run; returns how many there are.

    One after the other: who sweeps must not be in the way of those who trade. Raises
    `DatabaseUnavailable` and `RPCError`.
    """
    before = datetime.now(UTC) - timedelta(seconds=quiet_seconds)
    count = 0
    last: Order | None = None
    while page := await unanswered_orders(pool, before=before, after=last, limit=PAGE):
        for order in page:
            await ensure_run(client, order)
        count += len(page)
        last = page[-1]
    return count
