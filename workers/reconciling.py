"""What an order worker adds to reconcile: the activities, the daily schedule, a gauge."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from prometheus_client import Gauge
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
)

from activities.reconciliation import ReconciliationActivities
from brokerage.bus.connection import Bus
from brokerage.bus.set_aside import SetAside
from brokerage.contracts.ids import ORDERS_TASK_QUEUE, RECONCILIATION_ID
from brokerage.contracts.reconciliation import StartReconciliation
from brokerage.gateway.client import GatewayClient
from brokerage.gateway.statement_client import StatementClient
from brokerage.storage.pool import DatabaseUnavailable, Pool
from brokerage.storage.reconciliation_books import ReconciliationBooks
from brokerage.storage.reconciliation_reads import last_agreement
from brokerage.storage.reconciliation_writes import ReconciliationWriter
from workers.order_runs import OrderRuns
from workflows.reconciliation import ReconciliationWorkflow

log = structlog.get_logger()

NEW_YORK: Final = "America/New_York"
HOUR, MINUTE = 16, 30
"""Half an hour after the trading day ends and its `day` orders expire."""
CATCHUP: Final = timedelta(hours=12)
"""A run that was missed because Temporal was away is made up for, if no later than this."""
GAUGE_SECONDS: Final = 15.0

AGREED_AGE: Final = Gauge(
    "sherwood_reconciliation_agreed_age_seconds",
    "Time since a reconciliation left nothing for a person; none yet: since ever.",
)


def reconciliation_activities(
    pool: "Pool[Any]", bus: Bus, client: Client
) -> ReconciliationActivities:
    """The activities of one process."""
    return ReconciliationActivities(
        ReconciliationBooks(pool),
        ReconciliationWriter(pool),
        SetAside(bus),
        StatementClient(bus),
        GatewayClient(bus),
        OrderRuns(client, pool, bus),
    )


async def ensure_schedule(client: Client) -> None:
    """Have reconciliation run every day; an existing schedule stays as operators left it.

    Raises `RPCError`.
    """
    calendar = ScheduleCalendarSpec(hour=[ScheduleRange(HOUR)], minute=[ScheduleRange(MINUTE)])
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            ReconciliationWorkflow.run,
            StartReconciliation(),
            id=RECONCILIATION_ID,
            task_queue=ORDERS_TASK_QUEUE,
            static_summary="our books against the exchange's statement",
        ),
        spec=ScheduleSpec(calendars=[calendar], time_zone_name=NEW_YORK),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCHUP),
    )
    try:
        await client.create_schedule(RECONCILIATION_ID, schedule)
    except ScheduleAlreadyRunningError:
        return
    log.info("reconciliation_scheduled", schedule=RECONCILIATION_ID)


async def show_age_for_ever(pool: "Pool[Any]") -> None:
    """Keep the gauge of the last agreement; runs until cancelled."""
    while True:
        try:
            agreed_at = await last_agreement(pool)
        except DatabaseUnavailable as error:
            log.warning("last_agreement_unknown", error=repr(error))
        else:
            age = datetime.now(UTC) - agreed_at if agreed_at else None
            AGREED_AGE.set(age.total_seconds() if age else float("inf"))
        await asyncio.sleep(GAUGE_SECONDS * random.uniform(0.8, 1.2))
