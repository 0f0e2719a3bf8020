"""The command as a user runs it: its own process, against every real server."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from devstack.stack import DevStack
from tests.support.eventually import eventually

COMMAND_TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command left behind."""

    exit_code: int | None
    out: str
    notes: str

    @property
    def document(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)


Sherwood = Callable[..., Awaitable[Ran]]


Started = Callable[..., Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
def started(stack: DevStack, tmp_path: Path) -> Started:
    """Start `sherwood` as a user of this test's own."""
    user = f"cli-{uuid4().hex[:12]}"

    async def start(*words: str, as_user: str = user) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "client.command.cli", *words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env={
                "SHERWOOD_API_URL": stack.api_url,
                "SHERWOOD_USER": as_user,
                "XDG_CACHE_HOME": str(tmp_path),
            },
        )

    return start


@pytest.fixture
def sherwood(started: Started) -> Sherwood:
    """Run it to its end."""

    async def run(*words: str, **options: str) -> Ran:
        process = await started(*words, **options)
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_SECONDS):
                out, notes = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        return Ran(process.returncode, out.decode(), notes.decode())

    return run


async def test_bought_order_is_listed_and_changes_the_portfolio(sherwood: Sherwood) -> None:
    before = (await sherwood("portfolio", "--json")).document

    bought = await sherwood("buy", "meta", "2", "--wait", "60", "--json")
    listed = await sherwood("orders", "--symbol", "META", "--json")
    after = (await sherwood("portfolio", "--json")).document

    assert bought.exit_code == 0, bought.notes
    assert (bought.document["numShares"], bought.document["type"]) == (2, "market")
    assert [order["id"] for order in listed.document["items"]] == [bought.document["id"]]
    assert after["buyingPowerInCents"] < before["buyingPowerInCents"]


async def test_repeated_key_is_the_same_order(sherwood: Sherwood) -> None:
    words = ("buy", "META", "1", "--key", str(uuid4()), "--wait", "60", "--json")

    first, second = await sherwood(*words), await sherwood(*words)
    listed = await sherwood("orders", "--json")

    assert (first.exit_code, second.exit_code) == (0, 0), first.notes + second.notes
    assert first.document["id"] == second.document["id"]
    assert len(listed.document["items"]) == 1


async def test_order_far_from_the_market_waits_until_it_is_cancelled(sherwood: Sherwood) -> None:
    price_cents = (await sherwood("symbols", "META", "--json")).document["items"][0]["priceInCents"]
    limit = f"{price_cents // 200}.00"  # half the price: nobody sells at that

    placed = await sherwood("buy", "META", "1", "--limit", limit, "--wait", "60", "--json")
    why = await sherwood("why", placed.document["id"], "--json")
    cancelled = await sherwood("cancel", placed.document["id"], "--wait", "60", "--json")
    again = await sherwood("cancel", placed.document["id"])

    assert (placed.exit_code, placed.document["status"]) == (0, "submitted"), placed.notes
    assert (why.exit_code, why.document["waitsFor"]) == (0, "price-not-reached"), why.notes
    assert (cancelled.exit_code, cancelled.document["status"]) == (0, "cancelled")
    assert again.exit_code == 0


async def test_more_than_the_cash_buys_is_refused_with_the_amounts(sherwood: Sherwood) -> None:
    refused = await sherwood("buy", "META", "5000", "--json")

    error = json.loads(refused.notes)["error"]
    assert (refused.exit_code, refused.out, error["status"]) == (3, "", 422)
    assert error["order"]["status"] == "rejected"


async def test_somebody_elses_order_is_not_found(sherwood: Sherwood) -> None:
    placed = await sherwood("buy", "META", "1", "--wait", "60", "--json")

    foreign = await sherwood("cancel", placed.document["id"], as_user=f"cli-{uuid4().hex[:12]}")

    assert (placed.exit_code, foreign.exit_code) == (0, 4)


async def test_watched_symbols_have_prices_at_once(sherwood: Sherwood) -> None:
    watched = await sherwood("watch", "META", "AAPL", "--count", "2", "--seconds", "60", "--json")

    lines = [json.loads(line) for line in watched.out.splitlines()]
    prices = {line["symbol"]: line["priceInCents"] for line in lines if line["event"] == "price"}
    assert watched.exit_code == 0, watched.notes
    assert set(prices) == {"META", "AAPL"}
    assert all(price > 0 for price in prices.values())


async def test_clock_says_that_the_market_is_open(sherwood: Sherwood) -> None:
    clock = await sherwood("clock", "--json")

    assert (clock.exit_code, clock.document["isOpen"]) == (0, True), clock.notes


async def test_token_alone_is_printed_and_works(sherwood: Sherwood) -> None:
    token = await sherwood("token", "cli-operator", "--operator")

    assert token.exit_code == 0, token.notes
    assert len(token.out.split()) == 1
    assert token.out.count(".") == 2


async def test_preview_and_holds_show_what_placing_takes(sherwood: Sherwood) -> None:
    told = await sherwood("preview", "buy", "META", "3", "--limit", "1.00", "--json")
    placed = await sherwood("buy", "META", "3", "--limit", "1.00", "--wait", "60", "--json")
    holds = await sherwood("holds", "--json")
    beyond = await sherwood("preview", "sell", "META", "1")

    assert (told.exit_code, told.document["requiredCashInCents"]) == (0, 300), told.notes
    assert holds.document["heldCashInCents"] == 300
    assert [one["orderId"] for one in holds.document["items"]] == [placed.document["id"]]
    assert beyond.exit_code == 3
    assert "insufficient-shares" in beyond.out


async def test_operator_sets_what_an_account_may_do_and_finds_it_in_the_record(
    sherwood: Sherwood,
) -> None:
    user, operator = f"cli-{uuid4().hex[:12]}", f"cli-{uuid4().hex[:12]}"
    await sherwood("portfolio", as_user=user)
    why = ("--reason", "a test of the command")

    frozen = await sherwood("ops", "set-account", user, "frozen", *why, as_user=operator)
    limited = await sherwood(
        *("ops", "set-limit", "order-shares", "5", "--subject", user, *why), as_user=operator
    )
    refused = await sherwood("buy", "META", "1", as_user=user)
    acts = await sherwood("ops", "acts", "--subject", user, "--json", as_user=operator)

    assert (frozen.exit_code, limited.exit_code) == (0, 0), frozen.notes + limited.notes
    assert (refused.exit_code, "account-frozen" in refused.notes) == (3, True)
    assert [(one["act"], one["after"], one["operator"]) for one in acts.document["items"]] == [
        ("limit order-shares", 5, operator),
        ("account-state", "frozen", operator),
    ]


async def test_watched_orders_begin_with_those_there_are_and_go_on_with_the_changes(
    sherwood: Sherwood, started: Started
) -> None:
    resting = await sherwood("buy", "META", "1", "--limit", "1.00", "--wait", "60", "--json")
    watching = await started("orders", "--watch", "--seconds", "120", "--json")
    assert watching.stdout is not None
    told: list[tuple[str, str]] = []

    try:
        async with asyncio.timeout(COMMAND_TIMEOUT_SECONDS):
            async for line in watching.stdout:
                event = json.loads(line)
                if event["event"] != "order":
                    continue
                told.append((event["order"]["id"], event["order"]["status"]))
                if len(told) == 1:
                    await sherwood("cancel", resting.document["id"], "--wait", "60")
                if event["order"]["status"] == "cancelled":
                    break
    finally:
        watching.kill()
        await watching.wait()

    assert {order_id for order_id, _ in told} == {resting.document["id"]}
    assert told[0][1] == "submitted"
    assert told[-1][1] == "cancelled"


async def test_bars_and_the_accounts_history_are_there_from_the_first_minute(
    sherwood: Sherwood,
) -> None:
    async def are_there() -> None:
        bars = await sherwood("bars", "META", "--interval", "1s", "--json")
        history = await sherwood("portfolio-history", "--json")

        assert (bars.exit_code, history.exit_code) == (0, 0), bars.notes + history.notes
        # A second begins without trades, and a new stack with no second.
        assert bars.document["items"]
        assert bars.document["items"][-1]["closeInCents"] > 0
        assert history.document["points"][-1]["valueInCents"] > 0

    await eventually(are_there, "bars and a history are there", 60)


async def test_misspelt_symbol_is_answered_with_the_nearest(sherwood: Sherwood) -> None:
    refused = await sherwood("buy", "MTEA", "1")

    assert refused.exit_code == 3
    assert "did you mean META" in refused.notes
