import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from brokerage.bus.execution_log import APPEND_MAX, LogEntry
from brokerage.contracts.events import ExecutionReport
from exchange.protocol import Bust, Correction, End, Execution
from streaming.forwarding import Forwarder, SettledUnknown, entry_of
from tests.support.eventually import eventually
from tests.support.execution_log import MemoryExecutionLog


def execution(seq: int) -> Execution:
    return Execution(seq, f"E{seq}", "X7", "account", "AAPL", "buy", 15_000, 4, 4 * seq, 99)


async def nothing_settled() -> int:
    return 0


@asynccontextmanager
async def running(forwarder: Forwarder) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(forwarder.run())
        await eventually(forwarder.located.is_set, "the forwarder knows where to go on")
        yield
        run.cancel()


def test_fill_travels_as_a_report_under_the_execution_id() -> None:
    entry = entry_of(execution(3), "s1")

    assert entry.subject == "executions.fill.X7"
    assert (entry.message_id, entry.feed_seq) == ("E3", 3)
    assert msgspec.json.decode(entry.payload, type=ExecutionReport) == ExecutionReport(
        "E3", "fill", "X7", 3, "AAPL", 4, 15_000, 12, 99
    )


def test_end_travels_under_the_order_it_ends() -> None:
    entry = entry_of(End(4, "X7", "account", "AAPL", "expired", 12, "the day ended", 99), "s1")

    report = msgspec.json.decode(entry.payload, type=ExecutionReport)
    assert entry.subject == "executions.end.X7"
    assert entry.message_id == report.report_id == "end:X7"
    assert (report.shares, report.price_cents, report.cumulative_shares) == (0, 0, 12)
    assert (report.status, report.reason) == ("expired", "the day ended")


def test_bust_and_correction_travel_under_their_own_ids_and_name_the_execution() -> None:
    bust = entry_of(Bust(5, "B1", "E3", "X7", "account", "AAPL", 8, 99), "s1")
    correction = entry_of(
        Correction(6, "C1", "E3", "X7", "account", "AAPL", 15_001, 4, 8, 99), "s1"
    )

    assert (bust.subject, bust.message_id) == ("executions.bust.X7", "B1")
    assert msgspec.json.decode(bust.payload, type=ExecutionReport) == ExecutionReport(
        "B1", "bust", "X7", 5, "AAPL", 0, 0, 8, 99, execution_id="E3"
    )
    assert (correction.subject, correction.message_id) == ("executions.correction.X7", "C1")
    assert msgspec.json.decode(correction.payload, type=ExecutionReport) == ExecutionReport(
        "C1", "correction", "X7", 6, "AAPL", 4, 15_001, 8, 99, execution_id="E3"
    )


async def test_messages_are_stored_in_order() -> None:
    log = MemoryExecutionLog()
    forwarder = Forwarder(log, nothing_settled)

    async with running(forwarder):
        for seq in range(1, 1_001):
            forwarder.take(execution(seq))
        await eventually(lambda: len(log.stored) == 1_000, "all are stored")

    assert [entry.feed_seq for entry in log.stored] == list(range(1, 1_001))


async def test_refused_message_is_sent_again_and_nothing_after_it_is_left_out() -> None:
    log = MemoryExecutionLog()
    log.room = 3
    forwarder = Forwarder(log, nothing_settled)

    async with running(forwarder):
        for seq in range(1, 11):
            forwarder.take(execution(seq))
        await eventually(lambda: len(log.stored) == 3, "the stream is full")
        log.room = 100
        await eventually(lambda: len(log.stored) == 10, "all are stored")

    assert [entry.feed_seq for entry in log.stored] == list(range(1, 11))


async def test_memory_is_bounded_and_what_was_refused_is_asked_for_again() -> None:
    log = MemoryExecutionLog()
    log.room = 0
    forwarder = Forwarder(log, nothing_settled, waiting_max=10)

    async with running(forwarder):
        for seq in range(1, 16):
            forwarder.take(execution(seq))

        assert (forwarder.taken_seq, forwarder.refusing, forwarder.wants_replay) == (
            10,
            True,
            False,
        )
        log.room = 100
        await eventually(lambda: forwarder.wants_replay, "there is room again")
        forwarder.connected()
        for seq in range(11, 16):
            forwarder.take(execution(seq))
        await eventually(lambda: len(log.stored) == 15, "all are stored")

    assert [entry.feed_seq for entry in log.stored] == list(range(1, 16))


async def test_resume_leaves_room_for_what_was_on_its_way_together() -> None:
    log = MemoryExecutionLog()
    log.stored.append(LogEntry("executions.fill.X7", b"", "E5000", 5_000, "s1"))

    assert await Forwarder(log, nothing_settled).locate() == 5_000 - APPEND_MAX


async def test_lost_stream_is_filled_again_from_what_is_settled() -> None:
    log = MemoryExecutionLog()
    settled = 0

    async def settled_seq() -> int:
        return settled

    forwarder = Forwarder(log, settled_seq)
    async with running(forwarder):
        for seq in range(1, 6):
            forwarder.take(execution(seq))
        await eventually(lambda: len(log.stored) == 5, "all are stored")

        log.lose()
        settled = 2
        await forwarder.check_stream()

        assert (forwarder.taken_seq, forwarder.wants_replay) == (2, True)


async def test_stream_made_anew_is_noticed_although_it_has_newer_entries_already() -> None:
    log = MemoryExecutionLog()

    async def settled_seq() -> int:
        return 3

    forwarder = Forwarder(log, settled_seq)
    async with running(forwarder):
        for seq in range(4, 9):
            forwarder.take(execution(seq))
        await eventually(lambda: len(log.stored) == 5, "all are stored")
        await forwarder.check_stream()
        assert forwarder.taken_seq == 8, "nothing was lost yet"

        log.lose()
        forwarder.take(execution(9))
        await eventually(lambda: len(log.stored) == 1, "the new stream has the newest")
        await forwarder.check_stream()

        assert (forwarder.taken_seq, forwarder.wants_replay) == (3, True)


async def test_start_waits_for_the_settled_sequence_without_taking_anything() -> None:
    log = MemoryExecutionLog()
    known = False

    async def settled_seq() -> int:
        if not known:
            raise SettledUnknown("away")
        return 41

    forwarder = Forwarder(log, settled_seq)
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(forwarder.run())
        await asyncio.sleep(0)
        forwarder.take(execution(1))
        assert (forwarder.taken_seq, forwarder.wants_replay) == (0, False)

        known = True
        await eventually(forwarder.located.is_set, "the settled sequence is known")
        run.cancel()

    assert forwarder.taken_seq == 41


@pytest.mark.parametrize("newest", [1, APPEND_MAX])
async def test_resume_never_goes_below_the_first_message(newest: int) -> None:
    log = MemoryExecutionLog()
    log.stored.append(LogEntry("executions.fill.X7", b"", "E", newest, "s1"))

    assert await Forwarder(log, nothing_settled).locate() == 0
