"""What is read to say why an order has not filled, over a real Postgres."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from brokerage.contracts.commands import OrderKey, SettleRequest
from brokerage.domain.why import Traded
from brokerage.storage.why_reads import OrderInMarket, order_in_market
from devstack.stack import DevStack
from tests.support.books import Books, books_of_a_new_user
from tests.support.history import OldBar, put_bars
from tests.support.orders import a_fill
from tests.support.own_database import own_database

SECOND = timedelta(seconds=1)
EXTERNAL = "x-why"


@pytest.fixture(scope="module")
async def database_url(servers: DevStack) -> AsyncIterator[str]:
    async with own_database(servers.env["SHERWOOD_DATABASE_URL"]) as url:
        yield url


@pytest.fixture
async def books(database_url: str) -> AsyncIterator[Books]:
    async with books_of_a_new_user(database_url) as books:
        yield books


async def sent_at(books: Books, key: OrderKey) -> datetime:
    """When the order was sent: at the tenth of a second, so that no bar begins with it."""
    at = (await books.order(key)).created_at.replace(microsecond=100_000)
    await books.pool.execute(
        "UPDATE orders SET created_at = $1 WHERE order_id = $2", at, key.order_id
    )
    return at


async def read(books: Books, key: OrderKey, later: timedelta = SECOND) -> OrderInMarket:
    """What is found `later` than the order was sent."""
    at = (await books.order(key)).created_at + later
    found = await order_in_market(books.pool, key.user_id, key.order_id, at)
    assert found is not None
    return found


def bar(symbol: str, at: datetime, low: int, high: int, volume: int) -> OldBar:
    return OldBar(symbol, at.replace(microsecond=0), low, low, high, low, volume)


async def test_bars_that_begin_after_a_buy_count_and_their_lows_reach_it(
    books: Books, database_url: str
) -> None:
    key = await books.submitted(EXTERNAL + "1", symbol="LOWS")
    at = await sent_at(books, key)
    await put_bars(
        database_url,
        "bars_1s",
        [
            bar("LOWS", at, 100, 30_000, 7),  # it began before the order was sent
            bar("LOWS", at + SECOND, 20_000, 20_500, 30),
            bar("LOWS", at + 2 * SECOND, 20_001, 20_500, 500),
            bar("LOWS", at + 3 * SECOND, 19_900, 20_500, 40),
            bar("ELSE", at + 3 * SECOND, 100, 30_000, 9),
        ],
    )

    found = await read(books, key)

    assert found.traded == Traded(best_price_cents=19_900, reached_volume=70, missed_volume=70)
    assert (found.interval, found.last_fill_at) == ("1s", None)


async def test_highs_reach_a_sell_and_what_traded_before_its_last_fill_was_not_missed(
    books: Books, database_url: str
) -> None:
    key = await books.submitted(EXTERNAL + "2", symbol="IBM", side="sell", limit_price_cents=21_000)
    at = await sent_at(books, key)
    filled_at = at + 2 * SECOND
    fill = replace(
        a_fill("why-fill", 4, 21_000, external=EXTERNAL + "2"),
        at_ms=round(filled_at.timestamp() * 1000),
    )
    await books.orders.settle(SettleRequest(key.order_id, key.user_id, [fill]))
    await put_bars(
        database_url,
        "bars_1s",
        [
            bar("IBM", at + SECOND, 100, 21_100, 30),
            bar("IBM", at + 2 * SECOND, 100, 21_200, 40),  # it began before the fill
            bar("IBM", at + 3 * SECOND, 100, 21_000, 50),
            bar("IBM", at + 4 * SECOND, 100, 20_999, 60),
        ],
    )

    found = await read(books, key)

    assert found.traded == Traded(best_price_cents=21_200, reached_volume=120, missed_volume=50)
    assert found.last_fill_at == filled_at
    assert found.order.filled_shares == 4


async def test_of_an_order_that_ended_only_bars_that_were_over_by_then_count(
    books: Books, database_url: str
) -> None:
    key = await books.submitted(EXTERNAL + "3", symbol="ENDS")
    at = await sent_at(books, key)
    await books.pool.execute(
        "UPDATE orders SET status = 'expired', updated_at = $1 WHERE order_id = $2",
        at + 2 * SECOND,
        key.order_id,
    )
    prices = {SECOND: 20_300, 2 * SECOND: 20_200, 3 * SECOND: 20_100}
    bars = [bar("ENDS", at + later, low, low, 10) for later, low in prices.items()]
    await put_bars(database_url, "bars_1s", bars)

    assert (await read(books, key)).traded == Traded(20_300, 0, 0)


@pytest.mark.parametrize(
    ("days", "interval", "best_cents"), [(1, "1s", 20_001), (4, "1m", 20_002), (120, "1d", 20_003)]
)
async def test_longer_bars_are_read_where_shorter_ones_are_no_longer_kept(
    books: Books, database_url: str, days: int, interval: str, best_cents: int
) -> None:
    symbol = f"KEPT{days}"
    key = await books.submitted(f"{EXTERNAL}-{days}", symbol=symbol)
    at = await sent_at(books, key)
    for table, cents in (("bars_1s", 20_001), ("bars_1m", 20_002), ("bars_1d", 20_003)):
        await put_bars(
            database_url, table, [bar(symbol, at + timedelta(minutes=5), cents, cents, 1)]
        )

    found = await read(books, key, later=timedelta(days=days))

    assert (found.interval, found.traded.best_price_cents) == (interval, best_cents)


async def test_order_of_another_user_is_not_found(books: Books) -> None:
    key = await books.submitted(EXTERNAL + "4")

    at = (await books.order(key)).created_at
    assert await order_in_market(books.pool, "somebody-else", key.order_id, at) is None
