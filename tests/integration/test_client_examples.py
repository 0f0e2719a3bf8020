"""docs/client.md is true: its examples are taken from the page and run against real servers."""

import asyncio
import importlib
import inspect
import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest

from client.auth import BearerToken
from client.models import Tick
from client.sherwood import Sherwood
from devstack.stack import DevStack
from tests.support.accounts import Account

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
NAMES = re.findall(r"^\| `(client\.\w+)` \| (.*) \|$", PAGE, re.MULTILINE)
SOME = {"client.operations", "client.reconnecting"}
"""Of these modules the page names only what a bot meets."""
PATIENCE_SECONDS = 90.0


@pytest.fixture(scope="module")
def examples() -> Any:
    """The page as a module."""
    module = ModuleType("examples")
    exec(compile("\n".join(BLOCKS), "docs/client.md", "exec"), module.__dict__)
    return module


@pytest.fixture
async def sherwood(stack: DevStack, alice: Account) -> AsyncIterator[Sherwood]:
    async with Sherwood(stack.api_url, auth=BearerToken(alice.token)) as sherwood:
        yield sherwood


async def test_what_was_bought_is_watched_until_it_is_filled(
    sherwood: Sherwood, examples: Any
) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        fills = await examples.buy_and_watch(sherwood, "SPY", 3)

    assert sum(fill.shares for fill in fills) == 3


async def test_refusal_says_what_would_be_needed(sherwood: Sherwood, examples: Any) -> None:
    refused = await examples.try_to_buy(sherwood, "META", 5_000)
    taken = await examples.try_to_buy(sherwood, "META", 1)

    assert re.fullmatch(r"insufficient-buying-power: needs \d+ cents", refused)
    assert taken in {"submitted", "partially_filled", "filled"}


async def test_resting_order_is_cancelled(sherwood: Sherwood, examples: Any) -> None:
    order = await examples.rest_and_cancel(sherwood, "META", 100)

    assert order.status == "cancelled"


async def test_same_key_is_the_same_order_whoever_repeats_it(
    sherwood: Sherwood, examples: Any
) -> None:
    key = uuid4()

    async with asyncio.TaskGroup() as group:
        placed = [group.create_task(examples.place_once(sherwood, key, "META")) for _ in range(3)]

    assert len({task.result().id for task in placed}) == 1
    assert len((await sherwood.orders()).items) == 1


async def test_prices_go_on_after_the_server_was_killed(
    stack: DevStack, sherwood: Sherwood, examples: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    ticks: list[Tick] = []
    printed: list[str] = []
    lost = asyncio.Event()

    class Enough(Exception):
        """Prices came before and after."""

    async def act(tick: Tick) -> None:
        ticks.append(tick)
        if not lost.is_set():
            lost.set()
            stack.kill("api")
        printed.append(capsys.readouterr().out)
        # Prices of the killed server may still be on their way; those behind this line are not its.
        if "again in" in "".join(printed):
            raise Enough

    with pytest.raises(Enough):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await examples.follow_prices(sherwood, ["SPY", "META"], act)
    await stack.wait_ready()

    assert {tick.symbol for tick in ticks} <= {"SPY", "META"}


async def test_bot_trades(stack: DevStack, alice: Account, examples: Any) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        first, fills = await examples.bot(stack.api_url, alice.token, "SPY")

    assert first.num_shares == 1
    assert sum(fill.shares for fill in fills) == 2


def test_names_on_the_page_are_public_and_none_of_their_modules_is_missing_there() -> None:
    for name, told in NAMES:
        module = importlib.import_module(name)
        defined = {
            one
            for one, value in vars(module).items()
            if inspect.isclass(value) and value.__module__ == name and not one.startswith("_")
        }
        words = set(re.findall(r"`(?:[\w.]+\.)?(\w+)`", told))
        classes = {word for word in words if word[0].isupper()}
        if classes and name not in SOME:
            assert classes == defined, name
        assert all(hasattr(module, one) for one in classes), name


def test_methods_on_the_page_are_all_there_are() -> None:
    told = set(re.findall(r"`(\w+)`", dict(NAMES)["client.sherwood"])) - {"Sherwood"}

    assert told == {
        name for name, one in vars(Sherwood).items() if inspect.isfunction(one) and name[0] != "_"
    }
