import asyncio
import json

import pytest

from streaming.mailbox import FRAME_SECONDS, Frame, Mailbox


async def next_frame(mailbox: Mailbox) -> Frame:
    async with asyncio.timeout(5):
        return await anext(mailbox)


async def test_first_frame_is_the_whole_snapshot() -> None:
    mailbox = Mailbox({"AAPL": b'{"v":1}', "META": b'{"v":2}'}, live=True)

    frame = await next_frame(mailbox)

    assert frame == Frame("prices", b'[{"v":1},{"v":2}]')


async def test_newer_tick_replaces_the_one_that_waits() -> None:
    mailbox = Mailbox({"AAPL": b"1"}, live=True)
    await next_frame(mailbox)

    for price in range(1_000):
        mailbox.put("AAPL", b"%d" % price)

    assert len(mailbox) == 1
    assert json.loads((await next_frame(mailbox)).data) == [999]


async def test_frames_keep_their_distance() -> None:
    mailbox = Mailbox({"AAPL": b"1"}, live=True)
    await next_frame(mailbox)
    loop = asyncio.get_running_loop()
    began = loop.time()

    mailbox.put("AAPL", b"2")
    await next_frame(mailbox)

    assert loop.time() - began >= FRAME_SECONDS * 0.8


async def test_viewer_is_told_that_prices_are_stale_and_that_they_are_live_again() -> None:
    mailbox = Mailbox({}, live=True)

    mailbox.set_live(False)
    stale = await next_frame(mailbox)
    mailbox.set_live(True)
    live = await next_frame(mailbox)

    assert (stale.kind, live.kind) == ("stale", "live")


async def test_staleness_that_ended_unseen_is_not_told() -> None:
    mailbox = Mailbox({}, live=True)
    mailbox.set_live(False)
    mailbox.set_live(True)

    mailbox.put("AAPL", b"1")

    assert (await next_frame(mailbox)).kind == "prices"


async def test_viewer_of_a_stale_feed_gets_the_snapshot_and_then_hears_it() -> None:
    mailbox = Mailbox({"AAPL": b"1"}, live=False)

    kinds = [(await next_frame(mailbox)).kind for _ in range(2)]

    assert kinds == ["prices", "stale"]


async def test_wait_that_is_cancelled_loses_nothing() -> None:
    mailbox = Mailbox({}, live=True)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await anext(mailbox)

    mailbox.put("AAPL", b"1")

    assert (await next_frame(mailbox)).data == b"[1]"


async def test_close_ends_the_iteration_also_for_one_who_waits() -> None:
    mailbox = Mailbox({}, live=True)

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        frames = tasks.create_task(all_of(mailbox))
        await asyncio.sleep(0)
        mailbox.close()

    assert frames.result() == []


async def all_of(mailbox: Mailbox) -> list[Frame]:
    return [frame async for frame in mailbox]
