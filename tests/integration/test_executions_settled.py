"""What is settled leaves the stream, whatever it reports; what is not stays."""

from collections.abc import Awaitable, Callable

import msgspec

from brokerage.bus.connection import Bus, open_bus
from brokerage.bus.execution_log import ExecutionLog, LogEntry
from brokerage.bus.execution_streams import execution_streams
from brokerage.bus.executions import ExecutionReader, discard_settled
from brokerage.bus.streams import ensure_streams
from brokerage.contracts.events import ExecutionReport
from brokerage.contracts.subjects import EXECUTIONS_STREAM, execution_subject
from tests.support.eventually import eventually
from tests.support.execution_log import fetched, stored
from tests.support.nats_server import NatsServer
from tests.support.orders import a_bust, a_correction, a_fill, an_end

REPORTS = (
    a_fill("e-1", 4, 19_990, feed_seq=1),
    a_correction("c-1", "e-1", 3, 19_980, feed_seq=2),
    a_bust("b-1", "e-1", feed_seq=3),
    an_end("expired", 0, feed_seq=4),
    a_fill("e-2", 1, 19_990, feed_seq=5, external="x-2"),
)


def entry(report: ExecutionReport) -> LogEntry:
    """The report as the feed stores it."""
    subject = execution_subject(report.kind, report.external_order_id)
    return LogEntry(
        subject, msgspec.json.encode(report), report.report_id, report.feed_seq, "session"
    )


async def test_settled_reports_of_every_kind_are_discarded_and_the_others_kept(
    nats: NatsServer,
) -> None:
    async with open_bus(nats.url, "executions") as bus:
        await ensure_streams(bus)
        await stored(ExecutionLog(bus), [entry(report) for report in REPORTS])
        reader = ExecutionReader(bus)
        deliveries = await fetched(reader, len(REPORTS))
        *settled, unsettled = [delivery.message_id for delivery in deliveries]
        for delivery in deliveries[:-1]:
            await delivery.settle()

        async def discarded() -> None:
            await discard_settled(bus, kept=0)
            state = (await bus.jetstream.stream_info(EXECUTIONS_STREAM)).state
            assert (state.messages, state.first_seq) == (1, 5)

        await eventually(discarded, "only what is not settled is left")
        await reader.close()

    assert settled == ["e-1", "c-1", "b-1", "end:x-1"]
    assert unsettled == "e-2"


async def test_what_is_not_settled_is_counted_as_soon_as_it_is_stored(nats: NatsServer) -> None:
    async with open_bus(nats.url, "executions") as bus:
        await ensure_streams(bus)
        log, reader = ExecutionLog(bus), ExecutionReader(bus)
        await stored(log, [entry(report) for report in REPORTS[:3]])
        assert await waiting(bus) == 3

        first, *others = await fetched(reader, 3)
        assert await waiting(bus) == 3
        for delivery in others:
            await delivery.settle()
        await eventually(_counted(bus, 1), "what was given up is counted no more")
        await stored(log, [entry(REPORTS[3])])
        assert await waiting(bus) == 2

        await first.settle()
        await eventually(_counted(bus, 1), "nor is the first")
        await discard_settled(bus, kept=0)
        assert await waiting(bus) == 1
        await reader.close()


async def waiting(bus: Bus) -> int:
    return (await execution_streams(bus)).waiting


def _counted(bus: Bus, count: int) -> Callable[[], Awaitable[bool]]:
    async def counted() -> bool:
        return await waiting(bus) == count

    return counted
