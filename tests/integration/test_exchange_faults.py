"""Every fault the control panel has, at the real process."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest
from websockets.exceptions import ConnectionClosed

from exchange import protocol
from tests.support.eventually import eventually
from tests.support.exchange_member import (
    ExchangeProcess,
    Member,
    exchange_process,
    member_of,
    placement,
)

HIDDEN_SECONDS = 6.0
"""Longer than a busy machine takes from one call to the next."""


@pytest.fixture(scope="module")
async def exchange(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ExchangeProcess]:
    folder: Path = tmp_path_factory.mktemp("exchange")
    async with exchange_process(folder) as process:
        yield process


@pytest.fixture
async def member(exchange: ExchangeProcess) -> AsyncIterator[Member]:
    async with member_of(exchange.url) as one:
        yield one
        await one.http.delete("/v1/control/rules")
        await one.http.delete("/v1/control/feed")


async def fault(member: Member, action: str, route: str = "place", **more: object) -> None:
    """Put a rule in force for this member's next call."""
    match = {"route": route, "member": member.name}
    await member.control("rules", action=action, match=match, times=1, **more)


async def fired(member: Member) -> list[int]:
    answer = await member.http.get("/v1/control/rules")
    return [rule["fired"] for rule in answer.json()["items"]]


async def test_delay_and_late_reply_wait_before_and_after_the_order_is_taken(
    member: Member,
) -> None:
    for action in ("delay", "delay-reply"):
        await fault(member, action, seconds=0.3)
        began = time.monotonic()

        reply = await member.place(placement(price_cents=1))

        assert reply.outcome == "accepted"
        assert time.monotonic() - began > 0.29
    assert await fired(member) == [1, 1]


async def test_delayed_placement_that_passes_its_send_by_is_refused(member: Member) -> None:
    await fault(member, "delay", seconds=0.4)

    reply = await member.place(placement(send_by_ms=int(time.time() * 1000) + 200))

    assert reply.code == "past-send-by"


async def test_refusal_by_rule_is_an_answer_kept_for_good(member: Member) -> None:
    await fault(member, "refuse", reason="we would rather not")
    order = placement()

    first, again = await member.place(order), await member.place(order)

    assert (first.outcome, first.code) == ("refused", "refused")
    assert again == first


async def test_refused_cancel_leaves_the_order_live(member: Member) -> None:
    await fault(member, "refuse", "cancel")
    order = placement(price_cents=1)
    await member.place(order)

    refused, cancelled = (
        await member.cancel(order.client_order_id),
        await member.cancel(order.client_order_id),
    )

    assert (refused.outcome, cancelled.outcome) == ("refused", "cancelled")


@pytest.mark.parametrize(("action", "placed"), [("error", False), ("accept-then-error", True)])
async def test_server_error_tells_nothing_about_the_order(
    member: Member, action: str, placed: bool
) -> None:
    await fault(member, action, status=502)
    order = placement()

    answer = await member.http.post("/v1/orders", content=msgspec.json.encode(order))

    assert answer.status_code == 502
    assert (await member.order(order.client_order_id) is not None) is placed


@pytest.mark.parametrize(("action", "placed"), [("drop", False), ("accept-then-drop", True)])
async def test_dropped_connection_tells_nothing_about_the_order(
    member: Member, action: str, placed: bool
) -> None:
    await fault(member, action)
    order = placement()

    with pytest.raises(httpx.TransportError):
        await member.place(order)

    assert (await member.order(order.client_order_id) is not None) is placed


@pytest.mark.parametrize(("action", "placed"), [("hang", False), ("accept-then-hang", True)])
async def test_hanging_call_is_never_answered(member: Member, action: str, placed: bool) -> None:
    await fault(member, action, seconds=30)
    order = placement()

    with pytest.raises(httpx.ReadTimeout):
        await member.http.post(
            "/v1/orders",
            content=msgspec.json.encode(order),
            timeout=httpx.Timeout(30.0, read=0.3),
        )

    async def struck() -> None:
        assert await fired(member) == [1]

    await eventually(struck, "the call has arrived")
    if placed:
        await eventually(lambda: _is_there(member, order.client_order_id), "the order is there")
    else:
        assert await member.order(order.client_order_id) is None


async def test_garbage_is_no_reply_but_the_order_is_there(member: Member) -> None:
    await fault(member, "garbage")
    order = placement()

    answer = await member.http.post("/v1/orders", content=msgspec.json.encode(order))

    assert answer.status_code == 200
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(answer.content, type=protocol.PlacementReply)
    assert await member.order(order.client_order_id) is not None


async def test_late_fill_accepts_now_and_trades_later(member: Member) -> None:
    await fault(member, "late-fill", seconds=0.3)
    began = time.monotonic()
    async with member.feed() as feed:
        reply = await member.place(placement("MSFT"))

        executions = await feed.own(1)

    assert reply.order is not None
    assert (reply.order.status, reply.order.cumulative_shares) == ("open", 0)
    assert executions[0].order_id == reply.order.order_id
    assert time.monotonic() - began > 0.29


async def test_partial_fill_leaves_the_rest_to_the_next_print(member: Member) -> None:
    await fault(member, "partial", shares=4)
    async with member.feed() as feed:
        reply = await member.place(placement("SPY", shares=10))

        executions = await feed.own(2)

    assert reply.order is not None
    assert reply.order.cumulative_shares == 4
    shares = [one.shares for one in executions if isinstance(one, protocol.Execution)]
    assert shares == [4, 6]


async def test_hidden_order_is_seen_by_queries_later_and_by_cancels_at_once(
    member: Member,
) -> None:
    await fault(member, "hide", seconds=HIDDEN_SECONDS)
    order = placement(price_cents=1)
    await member.place(order)

    assert await member.order(order.client_order_id) is None
    assert (await member.cancel(order.client_order_id)).outcome == "cancelled"
    await eventually(lambda: _is_there(member, order.client_order_id), "queries see it", 60)


async def _is_there(member: Member, client_order_id: str) -> bool:
    return await member.order(client_order_id) is not None


async def test_rule_strikes_single_orders_of_a_batch(member: Member) -> None:
    match = {"route": "place", "account": "victim"}
    await member.control("rules", action="refuse", match=match)

    replies = await member.place_all(placement(), placement(account="victim"), placement())

    assert [one.code for one in replies] == [None, "refused", None]


async def test_query_can_fail_too_and_rules_can_be_lifted(member: Member) -> None:
    made = await member.control("rules", action="error", match={"route": "query"})
    failed = await member.http.get("/v1/orders")

    lifted = await member.http.delete(f"/v1/control/rules/{made['id']}")

    assert (failed.status_code, lifted.status_code) == (503, 200)
    assert (await member.http.get("/v1/orders")).status_code == 200


async def test_senseless_rule_is_a_problem(member: Member) -> None:
    for body in ({"action": "explode"}, {"action": "hide", "match": {"route": "query"}}):
        answer = await member.http.post("/v1/control/rules", json=body)
        assert answer.status_code == 422


async def test_halt_stops_a_symbol_and_resume_lets_it_go_on(member: Member) -> None:
    await member.control("halts", symbol="QQQ")
    halted = await member.place(placement("QQQ"))
    assert (await member.status()).halted == ["QQQ"]

    await member.control("halts", symbol="QQQ", halted=False)

    assert halted.code == "halted"
    assert (await member.place(placement("QQQ"))).outcome == "accepted"


async def test_bust_and_correction_reach_the_member_and_the_record(member: Member) -> None:
    async with member.feed() as feed:
        await member.place_all(placement("SPY"), placement("IBM"))
        first, second = await feed.own(2)
        assert isinstance(first, protocol.Execution)
        assert isinstance(second, protocol.Execution)

        await member.control("busts", executionId=first.execution_id)
        correction = {"executionId": second.execution_id, "priceCents": 17_000, "shares": 9}
        await member.control("corrections", **correction)

        bust, corrected = (await feed.own(4))[2:]

    assert isinstance(bust, protocol.Bust)
    assert isinstance(corrected, protocol.Correction)
    standing = await member.executions()
    assert [(one.execution_id, one.price_cents, one.shares) for one in standing] == [
        (second.execution_id, 17_000, 9)
    ]
    assert [order.cumulative_shares for order in await member.orders()] == [0, 9]


async def test_unsolicited_end_and_end_of_day_take_orders_off(member: Member) -> None:
    day, ended = placement(price_cents=1), placement(price_cents=1, time_in_force="gtc")
    good = placement(price_cents=1, time_in_force="gtc")
    async with member.feed() as feed:
        await member.place_all(day, ended, good)

        names = {"member": member.name, "clientOrderId": ended.client_order_id}
        await member.control("ends", **names, status="cancelled", reason="closed")
        await member.control("day")

        ends = await feed.own(2)

    assert [(one.status, one.reason) for one in ends if isinstance(one, protocol.End)] == [
        ("cancelled", "closed"),
        ("expired", "end of the day"),
    ]
    assert [one.status for one in await member.orders()] == ["expired", "cancelled", "open"]


async def test_unknown_execution_cannot_be_busted(member: Member) -> None:
    answer = await member.http.post("/v1/control/busts", json={"executionId": "E-1"})

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-execution")


@pytest.mark.parametrize(
    ("action", "expected"),
    [("duplicate", [1, 1, 2, 3]), ("gap", [2, 3]), ("reorder", [2, 1, 3])],
)
async def test_feed_disturbs_delivery_and_a_replay_heals_it(
    member: Member, action: str, expected: list[int]
) -> None:
    await member.control("feed", action=action, member=member.name)
    async with member.feed() as feed:
        await feed.until(lambda: len(feed.of(protocol.Trade)) > 0)
        for symbol in ("SPY", "IBM", "BAC"):
            await member.place(placement(symbol))

        await feed.own(len(expected))
    async with member.feed(after_member=0) as again:
        healed = await again.own(3)

    assert [message.seq for message in feed.said_to_member()] == expected
    assert [message.seq for message in healed] == [1, 2, 3]


async def test_silent_feed_says_nothing_not_even_heartbeats_and_then_all_of_it(
    member: Member,
) -> None:
    async with member.feed() as feed:
        await feed.until(lambda: len(feed.of(protocol.Trade)) > 0)
        began = time.monotonic()
        await member.control("feed", action="silence", seconds=1.5, member=member.name)
        await member.place(placement("SPY"))

        await feed.own(1)

    assert time.monotonic() - began > 1.4
    seqs = [trade.seq for trade in feed.of(protocol.Trade)]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


async def test_dropped_feed_ends_without_a_word(member: Member) -> None:
    async with member.feed() as feed:
        await feed.until(lambda: len(feed.of(protocol.Trade)) > 0)
        await member.control("feed", action="drop", member=member.name)

        with pytest.raises(ConnectionClosed):
            await feed.until(lambda: False)
