"""Whatever breaks between the exchange and its viewers, no stream ever shows what was not so.

Every stream and the exchange's own trades are recorded; `tests/support/price_checker.py` has the
rules by which they are judged.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx
import pytest

from devstack.stack import DevStack
from tests.support.accounts import fetch_token
from tests.support.eventually import comes_true, eventually
from tests.support.ports import free_port
from tests.support.price_recording import Recording
from tests.support.price_viewer import PriceViewer, viewing_all
from tests.support.price_watch import STANDSTILL, PriceWatch, feed_killed, killed, price_watch
from tests.support.running import running

RECEIVE_BYTES = 65_536
"""As small as it can be: a connection within one machine sends up to 64 KiB at once, or nothing."""
SLEPT_THROUGH_TRADES = 15_000
SLEPT_THROUGH_SECONDS_MAX = 12.0
"""Then they read on, whatever they slept through: after 30 s they would be given up."""
CHANGES = 40
FAULTS = 5
VISITORS = 25
VISITS_PER_SECOND = 50
VISITS_SECONDS = 90.0


@pytest.fixture(scope="module")
async def urls(
    stack: DevStack, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[str]]:
    """Two API nodes: the stack's, which tests may kill, and one beside it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **stack.env,
        "SHERWOOD_API_PORT": str(port),
        "SHERWOOD_TOKEN_SECRET": stack.home.secret("token-secret"),
    }
    log = tmp_path_factory.mktemp("node") / "log"
    async with running("api", environment=environment, ready_url=f"{url}/readyz", log=log):
        yield [stack.api_url, url]


@pytest.fixture
async def watch(stack: DevStack, urls: list[str]) -> AsyncIterator[PriceWatch[PriceViewer]]:
    async with price_watch(stack, urls) as watch:
        yield watch


async def test_nothing_breaks_and_all_is_right(watch: PriceWatch[PriceViewer]) -> None:
    verdict = await watch.settle()

    assert verdict.streams == len(watch.viewers)


async def test_feed_is_killed(stack: DevStack, watch: PriceWatch[PriceViewer]) -> None:
    await feed_killed(stack, watch)
    await watch.speed(STANDSTILL)
    await watch.all_show_the_last()

    verdict = await watch.settle()
    assert verdict.streams == len(watch.viewers)


async def test_owner_of_the_feed_is_frozen_and_goes_on(
    stack: DevStack, watch: PriceWatch[PriceViewer]
) -> None:
    owner: str = await eventually(partial(owner_of_the_feed, stack), "one copy owns the feed")
    epoch = watch.epoch()
    stack.pause(owner)
    try:
        await eventually(lambda: watch.epoch() > epoch, "another owner is seen")
        await watch.trades(200)
    finally:
        stack.resume(owner)
    # It has trades in its socket, and its lease is over.
    await eventually(partial(is_standby, stack, owner), "the old owner stands by")

    verdict = await watch.settle()
    assert verdict.streams == len(watch.viewers)


async def owner_of_the_feed(stack: DevStack) -> str:
    copies = [name for name in stack.processes if name.startswith("feed")]
    owners = [name for name in copies if not await is_standby(stack, name)]
    assert len(owners) == 1, owners
    return owners[0]


async def is_standby(stack: DevStack, name: str) -> bool:
    async with httpx.AsyncClient(trust_env=False, follow_redirects=True, timeout=30) as http:
        metrics = await http.get(f"{stack.processes[name].spec.address}/metrics")
    return "sherwood_feed_owner 0.0" in metrics.text


async def test_nats_is_killed(stack: DevStack, watch: PriceWatch[PriceViewer]) -> None:
    await killed(stack, "nats")
    await watch.speed(STANDSTILL)
    await watch.all_show_the_last()

    verdict = await watch.settle()
    assert verdict.streams == len(watch.viewers)


async def test_nats_is_away_until_prices_are_stale(
    stack: DevStack, watch: PriceWatch[PriceViewer]
) -> None:
    await stack.stop("nats")
    try:
        await eventually(
            lambda: all(viewer.recording.kinds()[-1:] == ["stale"] for viewer in watch.viewers),
            "every viewer is told",
        )
        await watch.speed(STANDSTILL)
    finally:
        await stack.start("nats")
    # Whoever is told that prices are live again has soon what it missed: before any heartbeat.
    await watch.all_live()
    await watch.all_show_the_last(within_seconds=10.0)

    verdict = await watch.settle()
    assert verdict.streams == len(watch.viewers)
    assert all("live" in viewer.recording.kinds() for viewer in watch.viewers)


async def test_api_node_is_killed(stack: DevStack, watch: PriceWatch[PriceViewer]) -> None:
    await killed(stack, "api")

    verdict = await watch.settle()
    assert verdict.streams == len(watch.viewers) + len(watch.viewers) // 2


@pytest.mark.parametrize("action", ["gap", "duplicate", "reorder", "drop"])
async def test_feed_of_the_exchange_is_disturbed(
    watch: PriceWatch[PriceViewer], action: str
) -> None:
    await disturb(watch, action)
    await watch.speed(STANDSTILL)
    await watch.all_show_the_last()

    await watch.settle()


async def test_some_viewers_read_nothing_for_a_while(stack: DevStack, urls: list[str]) -> None:
    async with price_watch(stack, urls, receive_bytes=RECEIVE_BYTES) as watch:
        slow, fast = watch.viewers[:2], watch.viewers[2:]
        await watch.speed(200.0)
        for viewer in slow:
            viewer.pause()
        aim = watch.trade_seq + SLEPT_THROUGH_TRADES
        await comes_true(lambda: watch.trade_seq >= aim, SLEPT_THROUGH_SECONDS_MAX)
        for viewer in slow:
            viewer.resume()
        await watch.speed(STANDSTILL)
        await watch.all_show_the_last()

        verdict = await watch.settle()

    assert verdict.streams == len(watch.viewers)
    everything = Counter(tick.symbol for tick in slow[0].recording.ticks())
    some = Counter(tick.symbol for tick in fast[0].recording.ticks())
    assert sum(everything[symbol] for symbol in some) < sum(some.values()), "nothing was skipped"


async def test_lists_change_all_the_time_and_nats_is_killed_meanwhile(
    stack: DevStack, watch: PriceWatch[PriceViewer], urls: list[str]
) -> None:
    draw = random.Random(13)
    changed: list[bool] = []
    nats_is_back = asyncio.Event()

    async def change_often(viewer: PriceViewer) -> None:
        count = 0
        while count < CHANGES or not nats_is_back.is_set():
            count += 1
            symbols = draw.sample(watch.market.symbols, draw.randint(1, 40))
            changed.append(await viewer.change(symbols, draw.choice(urls)))

    async with asyncio.TaskGroup() as tasks:
        for viewer in watch.viewers:
            tasks.create_task(change_often(viewer))
        await eventually(lambda: len(changed) > len(watch.viewers), "lists change")
        await killed(stack, "nats")
        nats_is_back.set()
    await watch.speed(STANDSTILL)
    await watch.all_show_the_last()

    verdict = await watch.settle()
    assert verdict.streams == len(watch.viewers)
    assert len(changed) >= CHANGES * len(watch.viewers)
    assert all(changed)


async def test_viewers_come_and_go_fifty_a_second_while_everything_breaks(
    stack: DevStack, watch: PriceWatch[PriceViewer], urls: list[str]
) -> None:
    async with coming_and_going(watch, urls) as visits:
        await eventually(lambda: len(visits) >= 50, "50 visits", VISITS_SECONDS)
        await disturb(watch, "gap")
        await killed(stack, "api")
        await eventually(lambda: len(visits) >= 100, "100 visits", VISITS_SECONDS)
        await killed(stack, "nats")
        await disturb(watch, "duplicate")
        await feed_killed(stack, watch)
        await eventually(lambda: len(visits) >= 200, "200 visits", VISITS_SECONDS)

    verdict = await watch.settle()
    assert verdict.streams >= len(watch.viewers) + 200
    assert len(verdict.epochs) >= 2


async def disturb(watch: PriceWatch[PriceViewer], action: str) -> None:
    """Disturb the public trades of the exchange's feed; return when it has struck."""
    fault = await watch.member.control("feed", action=action, stream="trades", times=FAULTS)

    async def has_struck() -> bool:
        faults = (await watch.member.http.get("/v1/control/feed")).json()["items"]
        fired = next(one["fired"] for one in faults if one["id"] == fault["id"])
        # Dropped are connections: of the stack's feed, and of the record.
        return bool(fired >= (2 if action == "drop" else FAULTS))

    await eventually(has_struck, f"the {action} has struck")


@asynccontextmanager
async def coming_and_going(
    watch: PriceWatch[PriceViewer], urls: list[str]
) -> AsyncIterator[list[Recording]]:
    """Fifty viewers a second, each of some symbols for some events; yields those that were here."""
    draw = random.Random(11)
    tokens = [await fetch_token(urls[0], f"visitor-{number}") for number in range(VISITORS)]
    done = asyncio.Event()

    async def visit(visitor: PriceViewer, events: int) -> None:
        async with viewing_all([visitor]):
            await eventually(
                lambda: len(visitor.recording.kinds()) >= events,
                "the visit is over",
                VISITS_SECONDS,
            )
        watch.others.append(visitor.recording)

    async def come_and_go() -> None:
        async with asyncio.TaskGroup() as visits:
            while not done.is_set():
                number = len(watch.others)
                symbols = draw.sample(watch.market.symbols, draw.randint(1, 20))
                nodes = draw.sample(urls, 2)
                visitor = PriceViewer(f"visit-{number}", nodes, draw.choice(tokens), symbols)
                visits.create_task(visit(visitor, events=draw.randint(2, 4)))
                await asyncio.sleep(1 / VISITS_PER_SECOND)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(come_and_go())
        try:
            yield watch.others
        finally:
            done.set()
