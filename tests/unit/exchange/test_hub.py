"""Fan-out to readers of the feed."""

import msgspec

from exchange import protocol
from exchange.feed_faults import FeedFaults
from exchange.hub import FeedConnection, Hub
from exchange.replay_log import ReplayLog


def hub_of(backlog_bytes_max: int = 10_000) -> Hub:
    return Hub(
        ReplayLog(0, bytes_max=10**6), FeedFaults(seed=1), backlog_bytes_max=backlog_bytes_max
    )


def trades(first: int, count: int) -> list[protocol.Trade | protocol.DayStart]:
    return [protocol.Trade(seq, "AAPL", 100, 1, 0) for seq in range(first, first + count)]


def end(seq: int) -> protocol.End:
    return protocol.End(seq, "X1", "acct", "AAPL", "expired", 0, "end of the day", 0)


def taken(connection: FeedConnection) -> list[protocol.FeedMessage]:
    messages: list[protocol.FeedMessage] = []
    while (frame := connection.take()) is not None:
        messages += msgspec.json.decode(frame, type=list[protocol.FeedMessage])
    return messages


def test_trades_go_to_all_and_messages_to_their_member_alone() -> None:
    hub = hub_of()
    one, other = FeedConnection("one", lambda: None), FeedConnection("other", lambda: None)
    hub.attach(one)
    hub.attach(other)

    hub.publish_trades(trades(1, 2), 0)
    hub.publish_messages([("one", end(1)), ("other", end(1)), ("one", end(2)), ("gone", end(1))])

    assert [type(message).__name__ for message in taken(one)] == ["Trade", "Trade", "End", "End"]
    assert [type(message).__name__ for message in taken(other)] == ["Trade", "Trade", "End"]


def test_frame_of_trades_is_the_same_object_for_all_readers() -> None:
    hub = hub_of()
    connections = [FeedConnection(f"m{n}", lambda: None) for n in range(3)]
    for connection in connections:
        hub.attach(connection)

    hub.publish_trades(trades(1, 2), 0)

    assert len({id(connection.frames[0]) for connection in connections}) == 1


def test_reader_that_is_too_slow_is_dropped_and_the_others_go_on() -> None:
    hub = hub_of(backlog_bytes_max=500)
    aborted: list[str] = []
    slow = FeedConnection("slow", lambda: aborted.append("slow"))
    quick = FeedConnection("quick", lambda: aborted.append("quick"))
    hub.attach(slow)
    hub.attach(quick)

    for seq in range(1, 20):
        hub.publish_trades(trades(seq, 1), 0)
        taken(quick)

    assert aborted == ["slow"]
    assert slow.failed == "too slow"
    assert (quick.failed, hub.slow_count) == (None, 1)
    assert slow.backlog_bytes < 1_000


def test_heartbeat_says_where_both_sequences_stand() -> None:
    hub = hub_of()
    connection = FeedConnection("m", lambda: None)
    hub.publish_trades(trades(1, 7), 0)
    hub.attach(connection)

    hub.beat(lambda member: 5, 3, 1234)

    assert taken(connection) == [protocol.Heartbeat(5, 7, 3, 1234)]


def test_large_bursts_are_cut_into_frames() -> None:
    hub = hub_of(backlog_bytes_max=10**9)
    connection = FeedConnection("m", lambda: None)
    hub.attach(connection)

    hub.publish_trades(trades(1, 4_500), 0)

    assert len(connection.frames) == 3
    assert len(taken(connection)) == 4_500
