"""What happens to messages between the exchange and a reader."""

import pytest

from exchange.feed_faults import FeedAction, FeedFaultRequest, FeedFaults

MESSAGES = [b"1", b"2", b"3", b"4"]


def test_duplicate_sends_the_next_messages_twice() -> None:
    faults = FeedFaults(seed=1)
    fault = faults.add(FeedFaultRequest("duplicate", times=2))

    sent = faults.disturb("member", "m", MESSAGES)

    assert sent == [b"1", b"1", b"2", b"2", b"3", b"4"]
    assert (fault.fired, fault.left) == (2, 0)


def test_gap_leaves_messages_out() -> None:
    faults = FeedFaults(seed=1)
    faults.add(FeedFaultRequest("gap", times=1))

    assert faults.disturb("member", "m", MESSAGES) == [b"2", b"3", b"4"]


def test_reorder_swaps_neighbours_across_frames_too() -> None:
    faults = FeedFaults(seed=1)
    faults.add(FeedFaultRequest("reorder", times=1))

    assert faults.disturb("member", "m", [b"1"]) == []
    assert faults.disturb("member", "m", [b"2", b"3"]) == [b"2", b"1", b"3"]


def test_fault_of_one_member_or_stream_leaves_others_alone() -> None:
    faults = FeedFaults(seed=1)
    faults.add(FeedFaultRequest("gap", member="m"))

    assert faults.disturb("member", "n", MESSAGES) == MESSAGES
    assert faults.disturb("trades", None, MESSAGES) == MESSAGES
    assert faults.active("member")
    assert not faults.active("trades")


def test_silence_ends_by_itself() -> None:
    now = [100.0]
    faults = FeedFaults(1, lambda: now[0])
    faults.add(FeedFaultRequest("silence", member="m", seconds=3))

    before = faults.silent_seconds("m"), faults.silent_seconds("n")
    now[0] = 103.5

    assert before == (3.0, 0.0)
    assert faults.silent_seconds("m") == 0.0


@pytest.mark.parametrize("action", ["duplicate", "reorder"])
def test_chance_strikes_that_part_of_the_messages_and_loses_none(action: FeedAction) -> None:
    faults = FeedFaults(seed=1)
    fault = faults.add(FeedFaultRequest(action, times=1_000_000, probability=0.05))
    messages = [b"%d" % number for number in range(4_000)]

    sent = [one for message in messages for one in faults.disturb("member", "m", [message])]

    assert 120 < fault.fired < 280
    assert sent != messages
    assert set(sent) | set(fault.held) == set(messages)
    assert len(sent) == len(messages) + (fault.fired if action == "duplicate" else 0) - len(
        fault.held
    )


def test_lifted_fault_strikes_no_more() -> None:
    faults = FeedFaults(seed=1)
    one = faults.add(FeedFaultRequest("duplicate", times=9))
    other = faults.add(FeedFaultRequest("gap", stream="trades", times=9))

    assert faults.remove(one.id)
    assert not faults.remove(one.id)

    assert faults.disturb("member", "m", MESSAGES) == MESSAGES
    assert faults.all() == [other]
