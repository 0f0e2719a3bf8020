"""The executions process: from the stream of reports to the workflows of their orders."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import structlog

from brokerage.bus.connection import Bus, BusUnavailable, open_bus
from brokerage.bus.executions import ExecutionReader, Parking, discard_settled
from brokerage.bus.kill_switch import KillSwitch, open_kill_switch
from brokerage.bus.streams import ensure_streams
from brokerage.contracts.subjects import route_subject
from brokerage.gateway.client import GatewayClient
from brokerage.runtime.backoff import Backoff
from brokerage.runtime.metrics import export_too
from brokerage.runtime.process import Process, run
from brokerage.runtime.settings import Settings
from brokerage.runtime.tasks import TaskSet
from brokerage.storage.pool import open_pool
from brokerage.storage.reads import order_of_user, route_of_external, route_of_order
from streaming.executions import Executions
from streaming.intake import fetch_reports
from streaming.order_workflows import OrderWorkflows
from streaming.parking import ParkedOrders, Release
from streaming.routes import Routes
from workers.opening import StoppedEarly, enter, unless_stopped
from workers.temporal import connect_temporal
from workflows.sdk_metrics import count_sdk

log = structlog.get_logger()

FINISH_SECONDS: Final = 5.0
AGAIN: Final = Backoff(0.25, 3.0)
DISCARD_SECONDS: Final = 60.0
"""How often settled reports are taken out of the stream."""


async def serve(process: Process, settings: Settings) -> None:
    """Open what is needed, work until told to stop, finish or hand back what is in hand."""
    async with AsyncExitStack() as stack:
        try:
            bus = await enter(stack, process.stopping, open_bus(settings.nats_url, process.name))
            pool = await enter(stack, process.stopping, open_pool(settings))
            temporal = await unless_stopped(process.stopping, connect_temporal(settings))
            await unless_stopped(process.stopping, _ensure_streams(bus))
            kill_switch = await enter(stack, process.stopping, open_kill_switch(bus))
        except StoppedEarly:
            return
        routes = Routes(
            partial(route_of_external, pool),
            partial(route_of_order, pool),
            GatewayClient(bus).query,
        )
        parked = ParkedOrders()
        parking = Parking(bus)
        executions = Executions(
            routes,
            OrderWorkflows(temporal, partial(order_of_user, pool)),
            parking,
            parked.add,
            kill_switch.pauses,
            on_failure=process.fail,
        )
        release = Release(parking, executions, parked)
        notices = await bus.subscribe(route_subject("*"), release.noticed)
        async with TaskSet(process.fail) as tasks:
            tasks.spawn(executions.keep(), "keep-executions")
            releasing = tasks.spawn(release.run(), "release-parked")
            tasks.spawn(_discard_settled(bus), "discard-settled")
            tasks.spawn(_release_when_switched(kill_switch, release), "release-when-switched")
            process.mark_ready()
            await fetch_reports(
                ExecutionReader(bus), executions, process.stopping, kill_switch.pauses
            )
            releasing.cancel()
            await notices.close()
            await executions.close(FINISH_SECONDS)


async def _release_when_switched(kill_switch: KillSwitch, release: Release) -> None:
    """Book what was held back as soon as it may be."""
    while True:
        await kill_switch.changed()
        await release.look()


async def _discard_settled(bus: Bus) -> None:
    while True:
        await asyncio.sleep(DISCARD_SECONDS)
        try:
            await discard_settled(bus)
        except BusUnavailable as error:
            log.warning("settled_reports_kept", error=str(error))


async def _ensure_streams(bus: Bus) -> None:
    failures = 0
    while True:
        try:
            await ensure_streams(bus)
        except BusUnavailable as error:
            log.warning("streams_not_there", error=str(error))
            failures += 1
            await asyncio.sleep(AGAIN.pause_seconds(failures))
        else:
            return


def main() -> None:
    """Run the process."""
    export_too(count_sdk())
    run("executions", Settings(), serve)


if __name__ == "__main__":
    main()
