"""The whole path: from the exchange's trade to the viewer, on a whole stack that takes orders."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bench.children import run_load
from bench.figures import percentile
from bench.load import Listed, LoadResult, LoadSpec
from bench.machine import CpuWatch
from bench.plan import RECORDED, WALKING
from bench.prices.dialing import allow_descriptors
from bench.prices.helpers import helper
from bench.prices.messages import Open, Opened, Watch, Watched
from bench.prices.plan import watch_lists
from bench.target import OwnStack, own_stack
from client.auth import BearerToken
from client.sherwood import Sherwood
from devstack.settings import inherited_environment

VIEWERS: Final = 1_000
ORDERS_PER_SECOND: Final = 20.0
USERS: Final = 60
AT_ONCE: Final = 64
SAMPLED: Final = 0.5
LEAD_SECONDS: Final = 3.0
"""Orders run for so long before the window, and after it."""


@dataclass(frozen=True)
class Path:
    """What viewers saw while orders ran; ages are from the trade's emission, shares of a core."""

    speed: float
    watched: Watched
    orders: LoadResult
    shares: Mapping[str, float]

    def percentile_ms(self, percent: float) -> float:
        """The age that `percent` of the delivered updates did not exceed."""
        return percentile(self.watched.ages_ms, percent)


async def whole_path(speed: float, seconds: float, tell: Callable[[str], None]) -> Path:
    """Run a stack, its viewers and its orders. Raises `StackError`, `ChildFailed`."""
    allow_descriptors(VIEWERS)
    async with own_stack(speed, tell=tell) as target:
        home = target.stack.home
        tell("opening accounts")
        async with Sherwood(target.api_url) as registrar:
            tokens = [
                (await registrar.development_token(f"bench-{number}")).token
                for number in range(USERS)
            ]
        orders = await _orders(target, tokens, seconds)
        log = home.log_of("bench-viewers")
        async with helper("bench.prices.viewers", inherited_environment(), log) as viewers:
            tell(f"opening {VIEWERS:,} streams")
            lists = watch_lists(await _symbols(target, tokens[0]), VIEWERS)
            secret = home.secret("token-secret")
            await viewers.ask(
                Open(target.api_url, secret, int(time.time()), lists, AT_ONCE), Opened
            )
            tell(f"{ORDERS_PER_SECOND:g} orders a second beside {VIEWERS:,} viewers")
            async with asyncio.TaskGroup() as tasks:
                load = tasks.create_task(run_load(orders))
                await asyncio.sleep(LEAD_SECONDS)
                watch = CpuWatch(target.rows(), {"viewers": viewers.pid})
                watched = await viewers.ask(Watch(seconds, SAMPLED), Watched, seconds)
                used, elapsed = watch.seconds(), watch.elapsed_seconds
            tell("stopping")
    watched.ages_ms.sort()
    shares = {name: busy / elapsed for name, busy in used.items()}
    shares["orders' load"] = load.result().cpu_seconds / load.result().samples.seconds
    return Path(speed, watched, load.result(), shares)


async def _orders(target: OwnStack, tokens: list[str], seconds: float) -> LoadSpec:
    async with Sherwood(target.api_url, auth=BearerToken(tokens[0])) as client:
        found = [await client.symbol(name) for name in (*RECORDED, *WALKING)]
    return LoadSpec(
        kind="place",
        seconds=seconds + 2 * LEAD_SECONDS,
        rate=ORDERS_PER_SECOND,
        api_url=target.api_url,
        tokens=tokens,
        listed=[Listed(one.symbol, one.price_cents) for one in found if one.price_cents],
    )


async def _symbols(target: OwnStack, token: str) -> list[str]:
    async with Sherwood(target.api_url, auth=BearerToken(token)) as client:
        return [listed.symbol for listed in (await client.symbols()).items]
