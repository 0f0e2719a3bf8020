"""The exchange is killed, stopped, started again; what it answered stays so."""

import asyncio
import sys
from functools import partial
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from exchange import protocol
from tests.support.eventually import eventually
from tests.support.exchange_member import Feed, Member, exchange_process, member_of, placement
from tests.support.running import ROOT, inherited

SYMBOLS = ("SPY", "IBM", "BAC", "AIG", "AAPL", "MSFT", "AMZN", "META")


async def replay(journal: Path, *options: str) -> tuple[int, bytes]:
    """Run the replay command; return its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "exchange", "replay", str(journal), *options),
        cwd=ROOT,
        env=inherited(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed


async def place_until_it_dies(
    member: Member, answered: dict[str, protocol.PlacementReply], index: int
) -> None:
    """Place batches one after the other, and note every answer that came."""
    for round_number in range(10_000):
        batch = [
            placement(symbol, shares=30 * (1 + round_number % 9), side=side)
            if side == "buy"
            else placement(symbol, shares=40, side=side, price_cents=1)
            for symbol, side in zip(SYMBOLS, ("buy", "sell") * 4, strict=True)
        ]
        try:
            for reply in await member.place_all(*batch):
                answered[reply.client_order_id] = reply
        except httpx.TransportError:
            return
    raise AssertionError(f"placer {index} outlived the exchange")


def _is_busy(feed: Feed, answered: dict[str, protocol.PlacementReply]) -> bool:
    trades = feed.of(protocol.Trade)
    return len(answered) > 300 and len(feed.said_to_member()) > 500 and len(trades) > 0


async def test_kill_in_the_middle_of_placements_loses_nothing_that_was_answered(
    tmp_path: Path,
) -> None:
    async with exchange_process(tmp_path) as exchange:
        for _ in range(2):
            answered: dict[str, protocol.PlacementReply] = {}
            async with (
                member_of(exchange.url, "m") as member,
                member.feed(after_member=0) as feed,
            ):
                before = await member.status()
                async with asyncio.TaskGroup() as tasks:
                    for index in range(3):
                        tasks.create_task(place_until_it_dies(member, answered, index))
                    await feed.until(partial(_is_busy, feed, answered), 60)
                    await exchange.kill()
                    with pytest.raises(ConnectionClosed):
                        await feed.until(lambda: False)

            await exchange.start()

            async with member_of(exchange.url, "m") as member:
                after = await member.status()
                orders = {order.client_order_id: order for order in await member.orders()}
                for client_order_id, reply in answered.items():
                    assert reply.order is not None
                    found = orders[client_order_id]
                    assert found.order_id == reply.order.order_id
                    assert found.cumulative_shares >= reply.order.cumulative_shares
                said = [one for one in feed.said_to_member() if isinstance(one, protocol.Execution)]
                executions = {one.execution_id: one for one in await member.executions()}
                assert all(executions[one.execution_id] == one for one in said)
                seqs = [trade.seq for trade in feed.of(protocol.Trade)]
                assert after.market_position >= before.market_position
                assert after.trade_seq >= max(seqs)
                async with member.feed(feed.own_seq()) as again:
                    await member.place(placement())
                    await again.until(
                        lambda: (
                            len(again.of(protocol.Heartbeat)) > 0
                            and len(again.of(protocol.Trade)) > 0
                        )
                    )
                later = [trade.seq for trade in again.of(protocol.Trade)]
                assert min(later) > max(seqs)
                own = [message.seq for message in again.said_to_member()]
                assert own == list(range(feed.own_seq() + 1, feed.own_seq() + 1 + len(own)))
        assert await exchange.stop() == 0

    (code, anew), (_, recorded) = (
        await replay(exchange.journal),
        await replay(exchange.journal, "--recorded"),
    )
    assert code == 0
    assert len(anew) > 10_000
    assert anew == recorded


async def test_open_orders_halts_and_refusals_are_there_after_a_stop(tmp_path: Path) -> None:
    async with exchange_process(tmp_path) as exchange:
        async with member_of(exchange.url, "m") as member:
            resting, unplaced = placement(price_cents=1), placement()
            await member.place(resting)
            await member.cancel(unplaced.client_order_id)
            refused = await member.place(placement("NONE", client_order_id="refused"))
            await member.control("halts", symbol="IBM")
            position = (await member.status()).market_position

        assert await exchange.stop() == 0
        await exchange.start()

        async with member_of(exchange.url, "m") as member:
            status = await member.status()
            assert status.halted == ["IBM"]
            assert status.market_position >= position
            assert (await member.place(resting)).order == await member.order(
                resting.client_order_id
            )
            assert (await member.place(unplaced)).code == "cancelled-before-placed"
            again = await member.place(placement("NONE", client_order_id="refused"))
            assert again == refused
            assert (await member.cancel(resting.client_order_id)).outcome == "cancelled"


async def test_held_order_is_released_after_a_crash(tmp_path: Path) -> None:
    async with exchange_process(tmp_path) as exchange:
        async with member_of(exchange.url, "m") as member:
            await member.control("rules", action="late-fill", match={"route": "place"}, seconds=1.0)
            order = placement("MSFT")
            await member.place(order)
            await exchange.kill()

        await exchange.start()

        async with member_of(exchange.url, "m") as member:

            async def it_is_filled() -> bool:
                found = await member.order(order.client_order_id)
                return found is not None and found.status == "filled"

            await eventually(it_is_filled)


async def test_orders_that_left_memory_can_still_be_repeated_and_busted(tmp_path: Path) -> None:
    async with exchange_process(tmp_path) as exchange:
        async with member_of(exchange.url, "m") as member:
            order = placement("MSFT")
            placed = await member.place(order)
        await exchange.stop()
        # A restart holds only live orders in memory: this one is found on disk.
        await exchange.start()
        async with member_of(exchange.url, "m") as member:
            assert await member.place(order) == placed
            execution = (await member.executions())[0]

            await member.control("busts", executionId=execution.execution_id)
            await exchange.kill()
        await exchange.start()

        async with member_of(exchange.url, "m") as member:
            found = await member.order(order.client_order_id)
            assert found is not None
            assert (found.cumulative_shares, await member.executions()) == (0, [])
        await exchange.stop()

    assert (await replay(exchange.journal, "--check"))[0] == 0


async def test_journal_of_another_market_is_refused(tmp_path: Path) -> None:
    async with exchange_process(tmp_path) as exchange:
        await exchange.stop()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "exchange", "--journal", str(exchange.journal), "--seed", "8"),
        cwd=ROOT,
        env=inherited(),
        stderr=asyncio.subprocess.PIPE,
    )

    _, said = await process.communicate()

    assert process.returncode == 1
    assert b"seed" in said


async def test_second_exchange_on_the_same_journal_is_refused(tmp_path: Path) -> None:
    async with exchange_process(tmp_path) as exchange:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "exchange", "--journal", str(exchange.journal)),
            cwd=ROOT,
            env=inherited(),
            stderr=asyncio.subprocess.PIPE,
        )

        _, said = await process.communicate()

    assert process.returncode == 1
    assert b"another exchange" in said


async def test_stop_ends_feeds_and_hanging_calls_in_order(tmp_path: Path) -> None:
    async with (
        exchange_process(tmp_path) as exchange,
        member_of(exchange.url, "m") as member,
        member.feed() as feed,
    ):
        await member.control("rules", action="hang", match={"route": "place"}, seconds=600)
        async with asyncio.TaskGroup() as tasks:
            hanging = tasks.create_task(_fails(member))
            await feed.until(lambda: len(feed.of(protocol.Trade)) > 0)
            stopping = tasks.create_task(exchange.stop())
            with pytest.raises(ConnectionClosed) as closed:
                await feed.until(lambda: False)

        assert stopping.result() == 0
        assert hanging.result()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code in (1001, 1012)


async def _fails(member: Member) -> bool:
    try:
        answer = await member.http.post("/v1/orders", json={}, timeout=30)
    except httpx.TransportError:
        return True
    return answer.status_code >= 400


async def test_thousands_of_symbols_all_have_a_price_at_once(tmp_path: Path) -> None:
    async with (
        exchange_process(tmp_path, "--symbols", "3000", "--speed", "max") as exchange,
        member_of(exchange.url) as member,
        member.feed() as feed,
    ):
        await feed.until(lambda: len(feed.of(protocol.Snapshot)) > 0)

    assert len(feed.of(protocol.Snapshot)[0].symbols) == 3000


async def test_control_can_be_switched_off_and_sessions_on(tmp_path: Path) -> None:
    async with (
        exchange_process(tmp_path, "--sessions", "--no-control") as exchange,
        member_of(exchange.url) as member,
    ):
        answer = await member.http.post("/v1/control/day", json={})
        before = (await member.status()).state
        reply = await member.place(placement())
        after = (await member.status()).state

    assert answer.status_code == 404
    # The day may begin or end in between.
    assert (reply.code == "market-closed") in {before == "closed", after == "closed"}
