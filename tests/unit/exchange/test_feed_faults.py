"""What happens to messages between the exchange and a reader."""

from exchange.feed_faults import FeedFaultRequest, FeedFaults

MESSAGES = [b"1", b"2", b"3", b"4"]


def test_duplicate_sends_the_next_messages_twice() -> None:
    faults = FeedFaults()
    fault = faults.add(FeedFaultRequest("duplicate", times=2))

    sent = faults.disturb("member", "m", MESSAGES)

    assert sent == [b"1", b"1", b"2", b"2", b"3", b"4"]
    assert (fault.fired, fault.left) == (2, 0)


def test_gap_leaves_messages_out() -> None:
    faults = FeedFaults()
    faults.add(FeedFaultRequest("gap", times=1))

    assert faults.disturb("member", "m", MESSAGES) == [b"2", b"3", b"4"]


def test_reorder_swaps_neighbours_across_frames_too() -> None:
    faults = FeedFaults()
    faults.add(FeedFaultRequest("reorder", times=1))

    assert faults.disturb("member", "m", [b"1"]) == []
    assert faults.disturb("member", "m", [b"2", b"3"]) == [b"2", b"1", b"3"]


def test_fault_of_one_member_or_stream_leaves_others_alone() -> None:
    faults = FeedFaults()
    faults.add(FeedFaultRequest("gap", member="m"))

    assert faults.disturb("member", "n", MESSAGES) == MESSAGES
    assert faults.disturb("trades", None, MESSAGES) == MESSAGES
    assert faults.active("member")
    assert not faults.active("trades")


def test_silence_ends_by_itself() -> None:
    now = [100.0]
    faults = FeedFaults(lambda: now[0])
    faults.add(FeedFaultRequest("silence", member="m", seconds=3))

    before = faults.silent_seconds("m"), faults.silent_seconds("n")
    now[0] = 103.5

    assert before == (3.0, 0.0)
    assert faults.silent_seconds("m") == 0.0
