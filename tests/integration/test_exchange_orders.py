"""The order API of the real process."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.exchange_member import ExchangeProcess, exchange_process, member_of, placement


@pytest.fixture(scope="module")
async def exchange(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ExchangeProcess]:
    folder: Path = tmp_path_factory.mktemp("exchange")
    async with exchange_process(folder) as process:
        yield process


async def test_order_is_filled_and_its_execution_comes_on_the_feed(
    exchange: ExchangeProcess,
) -> None:
    async with member_of(exchange.url) as member, member.feed() as feed:
        reply = await member.place(placement("SPY", account="acct-7", shares=20))

        executions = await feed.own(1)

        assert reply.outcome == "accepted"
        assert reply.order is not None
        assert [one.order_id for one in executions] == [reply.order.order_id]
        assert executions[0].account == "acct-7"
        assert executions[0] in await member.executions()


async def test_batch_is_answered_in_its_order_each_on_its_own(exchange: ExchangeProcess) -> None:
    async with member_of(exchange.url) as member:
        batch = [placement(), placement("NONE"), placement(send_by_ms=1), placement("IBM")]

        replies = await member.place_all(*batch)

        assert [one.client_order_id for one in replies] == [o.client_order_id for o in batch]
        assert [one.code for one in replies] == [None, "unknown-symbol", "past-send-by", None]


async def test_fifty_equal_placements_at_once_are_one_order(exchange: ExchangeProcess) -> None:
    async with member_of(exchange.url) as member:
        order = placement("BRK.B", price_cents=1)

        async with asyncio.TaskGroup() as tasks:
            placing = [tasks.create_task(member.place(order)) for _ in range(50)]

        reports = [task.result().order for task in placing]
        ids = {report.order_id for report in reports if report is not None}
        assert None not in reports
        assert len(ids) == len(await member.orders()) == 1


async def test_orders_and_executions_are_paged_without_hole_or_double(
    exchange: ExchangeProcess,
) -> None:
    async with member_of(exchange.url) as member:
        symbols = ("SPY", "IBM", "BAC", "AIG", "AAPL", "MSFT")
        placed = await member.place_all(*[placement(symbols[n % 6], shares=1) for n in range(25)])

        orders, executions = await member.orders(limit=7), await member.executions(limit=4)

        assert [one.client_order_id for one in orders] == [one.client_order_id for one in placed]
        assert executions == await member.executions()
        by_order = {one.order_id: one.shares for one in executions}
        assert all(by_order.get(one.order_id, 0) == one.cumulative_shares for one in orders)


async def test_refused_order_and_remembered_cancel_are_what_queries_say(
    exchange: ExchangeProcess,
) -> None:
    async with member_of(exchange.url) as member:
        order = placement()
        cancelled = await member.cancel(order.client_order_id)
        assert await member.order(order.client_order_id) is None

        reply = await member.place(order)
        report = await member.order(order.client_order_id)

        assert (cancelled.outcome, reply.code) == ("unknown-remembered", "cancelled-before-placed")
        assert report is not None
        assert report.status == "rejected"


async def test_mass_cancel_empties_the_members_book(exchange: ExchangeProcess) -> None:
    async with member_of(exchange.url) as member, member_of(exchange.url) as other:
        resting = placement(price_cents=1)
        await member.place_all(resting, placement("IBM", price_cents=1))
        await other.place(placement(price_cents=1))

        cancelled = await member.cancel_all(symbol="AAPL") + await member.cancel_all()

        assert [one.symbol for one in cancelled] == ["AAPL", "IBM"]
        assert {order.status for order in await member.orders()} == {"cancelled"}
        assert {order.status for order in await other.orders()} == {"open"}


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/orders", b"{", 422, "invalid-body"),
        ("/v1/orders", b'{"clientOrderId":"a"}', 422, "invalid-body"),
        ("/v1/orders", b"\xff\xfe", 422, "invalid-body"),
        ("/v1/orders/batch", b'{"orders":[]}', 422, "invalid-body"),
        ("/v1/cancels", b"{}", 422, "invalid-body"),
        ("/v1/cancels", b'{"clientOrderId":""}', 422, "invalid-name"),
        ("/v1/orders", b"[" * 200_000, 422, "invalid-body"),
        ("/v1/orders", b" " * 1_100_000, 413, "body-too-large"),
    ],
)
async def test_body_that_is_no_request_is_a_problem(
    exchange: ExchangeProcess, path: str, body: bytes, status: int, code: str
) -> None:
    async with member_of(exchange.url) as member:
        answer = await member.http.post(path, content=body)

        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert await member.orders() == []


async def test_request_without_a_member_is_a_problem(exchange: ExchangeProcess) -> None:
    async with httpx.AsyncClient(base_url=exchange.url, trust_env=False) as http:
        answer = await http.get("/v1/orders")

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-name")


async def test_status_counts_open_connections_and_requests_of_each_member(
    exchange: ExchangeProcess,
) -> None:
    async with member_of(exchange.url) as watcher, member_of(exchange.url) as member:
        async with member_of(exchange.url, member.name) as second, member.feed() as feed:
            await feed.until(lambda: len(feed.messages) > 0)
            await member.place(placement())
            await second.cancel("none")
            await second.orders()

            counts = (await watcher.status()).members[member.name]

            assert (counts.open_connections, counts.open_feed_connections) == (2, 1)
            routes = {"feed": 1, "place": 1, "cancel": 1, "query": 1}
            assert counts.requests_by_route == routes

        async def only_the_first_is_left() -> bool:
            counts = (await watcher.status()).members[member.name]
            assert (counts.open_connections, counts.open_feed_connections) == (1, 0)
            return counts.connections_max == 3

        await eventually(only_the_first_is_left)


async def test_single_placement_answers_in_milliseconds(exchange: ExchangeProcess) -> None:
    async with member_of(exchange.url) as member:
        seconds = []
        for _ in range(40):
            began = time.perf_counter()
            await member.place(placement(price_cents=1))
            seconds.append(time.perf_counter() - began)

    # The quickest: what others take of the machine's time is not the exchange's.
    assert min(seconds) < 0.05


async def test_metrics_and_docs_are_served(exchange: ExchangeProcess) -> None:
    async with httpx.AsyncClient(base_url=exchange.url, trust_env=False) as http:
        metrics, docs = await http.get("/metrics"), await http.get("/openapi.json")

    assert "exchange_trades_total" in metrics.text
    assert "/v1/orders/batch" in docs.json()["paths"]
