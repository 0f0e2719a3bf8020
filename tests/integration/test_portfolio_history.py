"""What an account was worth: added up by the database as by hand, told to its owner."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from brokerage.domain.timeline import Window, day_begin, timeline
from brokerage.domain.valuation import value_history
from brokerage.runtime.settings import Settings
from brokerage.storage import reads
from brokerage.storage.bar_reads import closes_at
from brokerage.storage.pool import open_pool
from client.auth import BearerToken
from client.sherwood import Sherwood
from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.eventually import eventually
from tests.support.exchange_rules import exchange_of, still_market
from tests.support.history import Entry, OldBar, Past, put_account, put_bars, put_entries
from tests.support.own_database import own_database
from tests.support.trading import MARKET, ended, placed

NOW = datetime(2026, 3, 11, 12, 34, 56, 789, tzinfo=UTC)


@pytest.fixture(scope="module")
async def url(servers: DevStack) -> AsyncIterator[str]:
    """A migrated database whose bars are these tests' own."""
    async with own_database(servers.env["SHERWOOD_DATABASE_URL"]) as url:
        yield url


def random_past(chance: random.Random, age: timedelta) -> Past:
    """Months of trading in symbols of its own: some never traded elsewhere, one only long ago."""
    symbols = [f"{name}-{uuid4().hex[:8]}" for name in ("A", "B", "OLD", "NEVER")]
    opened_at = NOW - age

    def sometime() -> datetime:
        return opened_at + age * chance.random()

    entries = [Entry(opened_at, "USD", 1_000_000, by_order=False)]
    entries += [
        Entry(opened_at, symbol, 1_000, False, chance.choice([None, 1_000 * 77, 1_000 * 77]))
        for symbol in chance.sample(symbols, 3)
    ]
    entries += [Entry(sometime(), "USD", chance.randint(1, 500), chance.random() < 0.5)] * 3
    for _ in range(60):
        at, symbol, shares = sometime(), chance.choice(symbols[:3]), chance.randint(1, 9)
        entries += [Entry(at, symbol, shares), Entry(at, "USD", -shares * chance.randint(1, 200))]
    minutes = {
        (symbol, (NOW - age * 1.5 * chance.random()).replace(second=0, microsecond=0))
        for symbol in symbols[:2]
        for _ in range(400)
        if age < timedelta(days=60)
    }
    long_ago = NOW - timedelta(days=99)
    days = {
        (symbol, day_begin(long_ago - timedelta(hours=24 * number)))
        for symbol in symbols[:3]
        for number in chance.sample(range(2_000), 400)
    }
    return Past(
        opened_at,
        entries,
        [OldBar(symbol, start, chance.randint(1, 300)) for symbol, start in sorted(minutes)],
        [OldBar(symbol, start, chance.randint(1, 300)) for symbol, start in sorted(days)],
    )


@pytest.mark.parametrize("days", [0.5, 3, 50, 800])
@pytest.mark.parametrize("seed", range(3))
async def test_database_adds_up_what_plain_summing_says(url: str, seed: int, days: float) -> None:
    user_id, past = str(uuid4()), random_past(random.Random(seed), timedelta(days=days))
    await put_account(url, user_id, past)
    live = {past.symbols()[0]: 123}

    async with open_pool(Settings(database_url=url)) as pool:
        opened = await reads.account_age(pool, user_id)
        assert opened is not None
        for window in Window:
            line = timeline(window, opened.opened_at, NOW, opened.symbols)
            flows = await reads.ledger_flows(pool, user_id, line.points)
            closes = await closes_at(pool, past.symbols(), line)
            told = value_history(line, flows, closes, live)

            assert told.points == [
                *(past.value_at(at) for at in line.points[:-1]),
                past.value_at(NOW, live),
            ]


async def told(user: Account, window: str = "all") -> dict[str, Any]:
    async def attempt() -> dict[str, Any]:
        response = await user.http.get("/portfolio/history", params={"window": window})
        assert response.status_code == 200, response.text
        history: dict[str, Any] = response.json()
        return history

    history: dict[str, Any] = await eventually(attempt, "the history is told")
    return history


async def ends_at_the_portfolio(stack: DevStack, user: Account) -> dict[str, Any]:
    """The history, once it and the portfolio were read with no change of price in between."""

    async def attempt() -> dict[str, Any]:
        history = await told(user)
        portfolio = (await user.http.get("/portfolio")).json()
        last = history["points"][-1]
        assert last["cashInCents"] == portfolio["cashInCents"]
        assert last["valueInCents"] == portfolio["totalValueInCents"]
        return history

    async with exchange_of(stack) as exchange, still_market(exchange):
        history: dict[str, Any] = await eventually(attempt, "history and portfolio agree")
    return history


async def test_new_account_begins_without_profit(stack: DevStack, alice: Account) -> None:
    history = await ends_at_the_portfolio(stack, alice)

    database = await asyncpg.connect(stack.env["SHERWOOD_DATABASE_URL"])
    try:
        costs = await database.fetch(
            "SELECT amount, cost_cents FROM ledger_entries "
            "WHERE user_id = $1 AND account = 'user' AND asset <> 'USD'",
            alice.user,
        )
    finally:
        await database.close()
    first = history["points"][0]
    assert len(costs) == 4
    assert all(row["cost_cents"] % row["amount"] == 0 for row in costs)
    assert first == {
        "at": history["openedAt"],
        "valueInCents": 10_000_000 + sum(row["cost_cents"] for row in costs),
        "cashInCents": 10_000_000,
        "profitInCents": 0,
        "unpriced": [],
    }
    assert history["baseValueInCents"] == first["valueInCents"]
    assert history["windowProfitInCents"] == history["points"][-1]["profitInCents"]
    assert (history["window"], history["step"], history["uncosted"]) == ("all", "5m", [])


async def test_orders_move_the_history_to_the_portfolios_value(
    stack: DevStack, alice: Account
) -> None:
    before = await told(alice)

    for position, symbol, shares in (("buy", "SPY", 30), ("sell", "IBM", 20), ("buy", "MCD", 5)):
        body = {"position": position, "symbol": symbol, "numShares": shares}
        order = await placed(alice, body)
        await ended(alice, order["id"], "filled")
    after = await ends_at_the_portfolio(stack, alice)

    cash = [history["points"][-1]["cashInCents"] for history in (before, after)]
    assert cash[0] == 10_000_000
    assert cash[1] != cash[0]
    first, last = after["points"][0], after["points"][-1]
    assert first == before["points"][0]
    # Nothing was put in since: all that the value changed by is profit.
    assert last["profitInCents"] == last["valueInCents"] - first["valueInCents"]


async def test_busts_and_adjustments_move_the_history(stack: DevStack) -> None:
    url, user = stack.env["SHERWOOD_DATABASE_URL"], f"user-{uuid4().hex[:12]}"
    opened_at = datetime.now(UTC) - timedelta(hours=30)
    entries = [
        Entry(opened_at, "USD", 1_000_000, by_order=False),
        # Half an hour later a fill, after another half hour its bust.
        Entry(opened_at + timedelta(minutes=30), "NKE", 100),
        Entry(opened_at + timedelta(minutes=30), "USD", -700_000),
        Entry(opened_at + timedelta(minutes=60), "NKE", -100),
        Entry(opened_at + timedelta(minutes=60), "USD", 700_000),
        Entry(opened_at + timedelta(minutes=90), "USD", -50_000, by_order=False),
    ]
    minutes = [
        OldBar("NKE", opened_at.replace(second=0, microsecond=0) + timedelta(minutes=n), 7_000 + n)
        for n in range(70)
    ]
    past = Past(opened_at, entries, minutes)
    await put_account(url, user, past)

    async with account(stack.api_url, user) as old:
        history = await told(old)
        database = await asyncpg.connect(url)
        try:
            gift = Entry(datetime.now(UTC), "USD", 1_234, by_order=False)
            await put_entries(database, user, [gift])
            await database.execute(
                "UPDATE accounts SET cash_cents = cash_cents + 1234 WHERE user_id = $1", user
            )
        finally:
            await database.close()
        later = await ends_at_the_portfolio(stack, old)

    assert history["points"] == [
        {
            "at": point.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "valueInCents": point.value_cents,
            "cashInCents": point.cash_cents,
            "profitInCents": point.profit_cents,
            "unpriced": [],
        }
        for point in (
            past.value_at(datetime.fromisoformat(point["at"])) for point in history["points"]
        )
    ]
    profits = {point["profitInCents"] for point in history["points"]}
    assert max(profits) > 0
    assert (history["points"][-1]["valueInCents"], history["points"][-1]["profitInCents"]) == (
        950_000,
        0,
    )
    last = later["points"][-1]
    assert (last["valueInCents"], last["profitInCents"]) == (951_234, 0)


async def test_shares_that_nobody_priced_are_named(stack: DevStack) -> None:
    url, user = stack.env["SHERWOOD_DATABASE_URL"], f"user-{uuid4().hex[:12]}"
    opened_at = datetime.now(UTC) - timedelta(hours=1)
    ghost = f"G{uuid4().hex[:8]}"
    entries = [
        Entry(opened_at, "USD", 500, by_order=False),
        Entry(opened_at, ghost, 3, by_order=False),
    ]
    await put_account(url, user, Past(opened_at, entries))

    async with account(stack.api_url, user) as alice:
        history = await told(alice)

    assert history["uncosted"] == [ghost]
    assert history["baseValueInCents"] is None
    assert history["windowProfitInCents"] is None
    for point in history["points"]:
        assert (point["valueInCents"], point["profitInCents"]) == (None, None)
        assert (point["cashInCents"], point["unpriced"]) == (500, [ghost])


@pytest.mark.parametrize("window", ["1d", "1w", "1m", "1y", "all"])
async def test_no_window_reaches_behind_the_opening(alice: Account, window: str) -> None:
    history = await told(alice, window)

    assert history["window"] == window
    assert history["points"][0]["at"] == history["openedAt"]


@pytest.mark.parametrize("window", ["", "2d", "1M", "ALL", "1d,1w"])
async def test_window_is_one_of_five(alice: Account, window: str) -> None:
    refused = await alice.http.get("/portfolio/history", params={"window": window})

    body = refused.json()
    assert (refused.status_code, body["code"]) == (422, "invalid-request")
    assert [(error["in"], error["where"]) for error in body["errors"]] == [("query", "window")]


async def test_client_library_reads_the_past(stack: DevStack, alice: Account) -> None:
    noon = (datetime.now(UTC) - timedelta(days=33)).replace(
        hour=12, minute=0, second=0, microsecond=0
    )
    bars = [OldBar("HPQ", noon + timedelta(minutes=number), 900 + number) for number in range(3)]
    await put_bars(stack.env["SHERWOOD_DATABASE_URL"], "bars_1m", bars)

    async with Sherwood(stack.api_url, auth=BearerToken(alice.token)) as sherwood:
        first = await sherwood.bars("HPQ", begin=noon, limit=2)
        rest = await sherwood.bars(
            "HPQ", begin=noon, end=noon + timedelta(hours=1), cursor=first.next_cursor
        )
        history = await sherwood.portfolio_history("all")

    assert [bar.close_cents for bar in (*first.items, *rest.items)] == [900, 901, 902]
    assert rest.next_cursor is None
    assert history.points[0].at == history.opened_at
    assert history.points[0].profit_cents == 0
    assert history.points[-1].cash_cents == 10_000_000


async def test_history_is_the_callers_own(stack: DevStack, alice: Account) -> None:
    await placed(alice, MARKET)

    async with account(stack.api_url) as bob:
        history = await told(bob)

    assert {point["cashInCents"] for point in history["points"]} == {10_000_000}
