import asyncio
import json

from brokerage.bus.tick import untraded
from streaming.hub import Topic
from streaming.mailbox import Mailbox


def fragment(v: int) -> bytes:
    return b'{"symbol":"AAPL","v":%d}' % v


async def test_older_tick_never_replaces_a_newer_one() -> None:
    topic = Topic("AAPL")
    mailbox = Mailbox({}, live=True)
    topic.viewers.add(mailbox)

    for v in (2, 3, 1, 3):
        topic.offer(fragment(v))

    assert topic.fragment == fragment(3)
    async with asyncio.timeout(5):
        assert json.loads((await anext(mailbox)).data) == [{"symbol": "AAPL", "v": 3}]
    assert len(mailbox) == 0


def test_symbol_is_untraded_until_its_first_tick() -> None:
    topic = Topic("AAPL")
    assert topic.fragment == untraded("AAPL")

    topic.offer(fragment(0))

    assert topic.fragment == fragment(0)


def test_unreadable_tick_is_left_out() -> None:
    topic = Topic("AAPL")
    topic.offer(fragment(5))

    topic.offer(b"not json")
    topic.offer(b'{"v":"9"}')

    assert topic.fragment == fragment(5)
