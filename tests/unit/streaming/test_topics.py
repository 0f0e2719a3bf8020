from brokerage.bus.tick import untraded
from streaming.viewers import Topic


def fragment(v: int) -> bytes:
    return b'{"symbol":"AAPL","v":%d}' % v


def test_older_tick_never_replaces_a_newer_one() -> None:
    topic = Topic("AAPL")

    taken = [topic.take(fragment(v), v_min=0) for v in (2, 3, 1, 3)]

    assert taken == [True, True, False, False]
    assert topic.fragment == fragment(3)


def test_tick_of_a_feed_that_is_not_the_owner_any_more_is_refused() -> None:
    topic = Topic("AAPL")

    assert not topic.take(fragment(9), v_min=10)
    assert topic.take(fragment(10), v_min=10)


def test_symbol_is_untraded_until_its_first_tick() -> None:
    topic = Topic("AAPL")
    assert topic.fragment == untraded("AAPL")

    topic.take(fragment(0), v_min=0)

    assert topic.fragment == fragment(0)


def test_unreadable_tick_is_left_out() -> None:
    topic = Topic("AAPL")
    topic.take(fragment(5), v_min=0)

    assert not topic.take(b"not json", v_min=0)
    assert not topic.take(b'{"v":"9"}', v_min=0)

    assert topic.fragment == fragment(5)
