"""What the exchange states of a member at one sequence of its messages."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange import protocol
from tests.support.exchange_member import (
    ExchangeProcess,
    Member,
    exchange_process,
    member_of,
    placement,
)


@pytest.fixture(scope="module")
async def exchange(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ExchangeProcess]:
    folder: Path = tmp_path_factory.mktemp("exchange")
    async with exchange_process(folder) as process:
        yield process


async def page(member: Member, **query: Any) -> protocol.StatementPage:
    answer = await member.http.get("/v1/statement", params=query)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=protocol.StatementPage)


async def positions(member: Member, **query: Any) -> protocol.PositionStatement:
    answer = await member.http.get("/v1/statement/positions", params=query)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=protocol.PositionStatement)


async def resting(member: Member, **terms: Any) -> protocol.OrderReport:
    """An order that trades only by hand."""
    terms = {"price_cents": 100, "time_in_force": "gtc"} | terms
    reply = await member.place(placement("IBM", **terms))
    assert reply.order is not None
    return reply.order


async def execute(member: Member, order: protocol.OrderReport, shares: int, cents: int) -> str:
    done = await member.control(
        "executions", orderId=order.order_id, shares=shares, priceCents=cents
    )
    return str(done["id"])


async def test_an_order_is_stated_with_what_was_told_of_it_up_to_the_sequence(
    exchange: ExchangeProcess,
) -> None:
    async with member_of(exchange.url) as member:
        order = await resting(member)
        first = await execute(member, order, 4, 100)
        await execute(member, order, 6, 99)
        await member.control("busts", executionId=first)

        kinds = [
            [type(one).__name__ for one in (await page(member, sequence=at)).items[0].messages]
            for at in range(4)
        ]
        newest = await page(member)

    assert kinds == [
        [],
        ["Execution"],
        ["Execution", "Execution"],
        ["Execution", "Execution", "Bust"],
    ]
    assert newest.sequence == 3
    assert newest.items[0].order.cumulative_shares == 6
    assert [one.seq for one in newest.items[0].messages] == [1, 2, 3]


async def test_positions_and_cash_are_those_at_the_sequence_through_busts_and_corrections(
    exchange: ExchangeProcess,
) -> None:
    async with member_of(exchange.url) as member:
        order = await resting(member)
        first = await execute(member, order, 4, 100)
        second = await execute(member, order, 6, 99)
        await member.control("corrections", executionId=second, shares=5, priceCents=98)
        await member.control("busts", executionId=first)
        sale = await resting(member, side="sell", price_cents=1_000_000)
        await execute(member, sale, 2, 150)
        stated = [await positions(member, sequence=at) for at in range(6)]
        newest = await positions(member)

    assert [(one.shares.get("IBM", 0), one.cash_cents) for one in stated] == [
        (0, 0),
        (4, -400),
        (10, -994),
        (9, -890),
        (5, -490),
        (3, -190),
    ]
    assert newest == stated[-1]


async def test_a_restart_from_the_journal_states_the_same(tmp_path: Path) -> None:
    async with exchange_process(tmp_path) as process, member_of(process.url, "ours") as member:
        order = await resting(member)
        execution = await execute(member, order, 4, 100)
        await member.control("corrections", executionId=execution, shares=3, priceCents=98)
        before = (await page(member), await positions(member))
        await process.kill()
        await process.start()
        await execute(member, order, 1, 100)

        after = (await page(member, sequence=2), await positions(member, sequence=2))
        newest = await positions(member)

    assert after[1] == before[1]
    assert after[0].items[0].messages == before[0].items[0].messages
    assert (newest.shares["IBM"], newest.cash_cents) == (4, -394)


async def test_pages_hold_every_order_once_by_the_members_own_id(
    exchange: ExchangeProcess,
) -> None:
    async with member_of(exchange.url) as member:
        placed = [await resting(member) for _ in range(7)]
        found: list[str] = []
        after: str | None = ""
        while after is not None:
            stated = await page(member, after=after, limit=3)
            found += [one.order.client_order_id for one in stated.items]
            after = stated.next_after
        named = await page(member, ids=[found[5], found[1], "nobody's"])

    assert found == sorted(one.client_order_id for one in placed)
    assert [one.order.client_order_id for one in named.items] == [found[1], found[5]]


async def test_a_page_ends_before_it_has_too_many_messages_and_one_order_alone_is_cut(
    exchange: ExchangeProcess,
) -> None:
    async with member_of(exchange.url) as member:
        small = await resting(member, client_order_id="a", shares=2_000)
        large = await resting(member, client_order_id="b", shares=2_000)
        await execute(member, small, 1, 100)
        for _ in range(protocol.STATEMENT_MESSAGES_MAX + 1):
            await execute(member, large, 1, 100)

        first = await page(member)
        second = await page(member, after=first.next_after)

    assert [one.order.client_order_id for one in first.items] == ["a"]
    assert [one.order.client_order_id for one in second.items] == ["b"]
    assert second.items[0].is_cut
    assert len(second.items[0].messages) == protocol.STATEMENT_MESSAGES_MAX
    assert second.next_after is None


async def test_a_sequence_that_was_not_reached_and_too_many_ids_are_refused(
    exchange: ExchangeProcess,
) -> None:
    async with member_of(exchange.url) as member:
        ahead = await member.http.get("/v1/statement", params={"sequence": 1})
        ids = [str(number) for number in range(protocol.STATEMENT_PAGE_MAX + 1)]
        many = await member.http.get("/v1/statement", params={"ids": ids})

    assert (ahead.status_code, ahead.json()["code"]) == (422, "sequence-ahead")
    assert (many.status_code, many.json()["code"]) == (422, "invalid-query")
