"""Users trade on two API nodes while the nemesis goes through the first of a seed's faults: what
`make soak` does for minutes.
"""

import asyncio
from typing import Final

from tests.soak.running import Wanted, soak, wired_stack

WANTED: Final = Wanted(seed=56, seconds=600.0, episodes=3, users=4)
"""Orders hidden; a feed frozen; Postgres killed while the gateway loses NATS mid-message."""


async def test_a_short_soak_violates_no_invariant_and_all_of_its_faults_act() -> None:
    said: list[str] = []

    async with wired_stack(WANTED) as (stack, wires):
        run = await soak(WANTED, stack, wires, stop=asyncio.Event(), tell=said.append)

    soaked = run.soaked
    # All of them, and what was done before: it may not come again.
    for violations in (soaked.violations, soaked.violations_after_restart):
        assert not violations, "\n".join(map(str, [*said, *violations]))
    assert [str(blow) for blow in soaked.blows if not blow.seen.acted] == []
    assert {blow.fault.kind for blow in soaked.blows} == {"answers", "freeze", "kill", "truncate"}
    assert soaked.is_good
    assert soaked.executions > 0
    assert {"place ok", "read ok"} <= soaked.calls.keys()
