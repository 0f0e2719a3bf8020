"""Clients nobody here wrote hold a stream through the death of each part it comes through.

All of them at once go through all of it; then each is asked how it fared.
"""

import asyncio
from dataclasses import dataclass, field

import pytest

from devstack.stack import DevStack
from tests.foreign.clients import CLIENTS, ForeignClient
from tests.support.accounts import fetch_token
from tests.support.eventually import eventually
from tests.support.price_checker import Verdict
from tests.support.price_watch import (
    LIST_SIZE,
    SPEED,
    STANDSTILL,
    PriceWatch,
    feed_killed,
    killed,
    market_watch,
)
from tests.support.programs import CannotRun

Watch = PriceWatch[ForeignClient]
FAULTS = ("API node", "feed", "NATS")
BEGIN_SECONDS = 180.0
"""A package is installed, a browser is started."""


@dataclass
class Trial:
    """What became of each client, by its name."""

    cannot_run: dict[str, str] = field(default_factory=dict)
    broke: dict[str, str] = field(default_factory=dict)
    """Those that ended by an error."""
    fared: dict[tuple[str, str], str] = field(default_factory=dict)
    """How it went with each fault."""
    verdict: Verdict = field(default_factory=Verdict)

    def is_over(self, client: ForeignClient) -> bool:
        """True for a client that does not run any more, or never did."""
        return client.name in self.cannot_run or client.name in self.broke


@pytest.fixture(scope="module")
async def trial(stack: DevStack) -> Trial:
    trial = Trial()
    async with market_watch(stack) as (member, market), asyncio.TaskGroup() as tasks:
        symbols = market.symbols[:: len(market.symbols) // LIST_SIZE]
        token = await fetch_token(stack.api_url, "foreigner")
        clients = [kind(stack.api_url, token, symbols) for kind in CLIENTS]
        runs = [tasks.create_task(_follow(client, trial)) for client in clients]
        await eventually(
            lambda: all(trial.is_over(one) or one.recording.is_live() for one in clients),
            "every client sees prices",
            BEGIN_SECONDS,
        )
        watch = PriceWatch(member, market, [one for one in clients if not trial.is_over(one)])
        for fault in FAULTS:
            await _go_through(stack, watch, fault, trial)
        trial.verdict = await watch.judge()
        for run in runs:
            run.cancel()
    return trial


async def _follow(client: ForeignClient, trial: Trial) -> None:
    try:
        await client.follow()
    except CannotRun as reason:
        trial.cannot_run[client.name] = str(reason)
    except Exception as error:  # noqa: BLE001 - what one client does must not end the others
        trial.broke[client.name] = repr(error)


async def _go_through(stack: DevStack, watch: Watch, fault: str, trial: Trial) -> None:
    streams = {client.name: len(client.recording.connections) for client in watch.viewers}
    match fault:
        case "API node":
            await killed(stack, "api")
        case "feed":
            await feed_killed(stack, watch)
        case "NATS":
            await killed(stack, "nats")
    await watch.speed(STANDSTILL)
    for client in list(watch.viewers):
        try:
            await watch.shows_the_last(client)
        except AssertionError as error:
            trial.fared[client.name, fault] = f"{error}: {error.__cause__}"
            watch.viewers.remove(client)
            watch.others.append(client.recording)
        else:
            came_back = len(client.recording.connections) > streams[client.name]
            trial.fared[client.name, fault] = "came back" if came_back else "held on"
    await watch.speed(SPEED)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("client", [kind.name for kind in CLIENTS])
async def test_client_shows_the_right_prices_after_a_kill(
    trial: Trial, client: str, fault: str
) -> None:
    if client in trial.cannot_run:
        pytest.skip(trial.cannot_run[client])

    assert trial.broke.get(client) is None
    # Only its own node's end costs a client its stream.
    assert trial.fared[client, fault] == ("came back" if fault == "API node" else "held on")


async def test_their_streams_keep_the_rules_throughout(trial: Trial) -> None:
    assert trial.verdict.violations == []
    assert trial.verdict.streams >= 2 * (len(CLIENTS) - len(trial.cannot_run))
    assert len(trial.verdict.epochs) >= 2
