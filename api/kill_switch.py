"""What the API has to do with the kill switch: obey it, make it once, and record who set it.

The switch is in the bus alone, so that it can be set while Postgres is away. Its bucket keeps every
act; each node copies what Postgres lacks of them, whoever set it and by which way.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from brokerage.bus.connection import Bus, BusUnavailable
from brokerage.bus.kill_switch import KillSwitch, acts_of, create_switch, new_act
from brokerage.runtime.backoff import Backoff
from brokerage.storage import switch_acts
from brokerage.storage.pool import DatabaseUnavailable, Pool

if TYPE_CHECKING:
    from api.node import NodeState

log = structlog.get_logger()

AGAIN: Final = Backoff(0.1, 3.0)
LOOK_SECONDS: Final = 5.0
"""How long an absent switch may stay unnoticed: a change is noticed at once."""


async def keep_switch(node: "NodeState") -> None:
    """Make the switch of a new Sherwood, and copy its acts; runs until cancelled."""
    failures = 0
    while True:
        try:
            if node.has("pool") and node.has("kill_switch"):
                await _keep(node.pool, node.bus, node.kill_switch)
                failures = 0
                await node.kill_switch.changed(LOOK_SECONDS)
                continue
        except (BusUnavailable, DatabaseUnavailable) as error:
            log.info("acts_of_kill_switch_not_copied", error=str(error))
        failures += 1
        await asyncio.sleep(AGAIN.pause_seconds(failures))


async def _keep(pool: "Pool[Any]", bus: Bus, kill_switch: KillSwitch) -> None:
    if not kill_switch.is_absent:
        await switch_acts.record(pool, await acts_of(bus))
    elif not await switch_acts.has_been_set(pool):
        # Nobody ever set it, so nothing can have been lost: this Sherwood is new.
        first = new_act("global", "", 0, operator="sherwood", address="", reason="first start")
        await create_switch(bus, first)
