"""The executions' streams as a whole: how far they reach, what waits in them, and a new start."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from brokerage.bus.connection import Bus, bus_errors
from brokerage.bus.execution_log import FEED_SEQ_HEADER
from brokerage.bus.executions import CONSUMER
from brokerage.bus.streams import ensure_streams
from brokerage.contracts.events import ExecutionReport
from brokerage.contracts.subjects import (
    DEAD_STREAM,
    EXECUTIONS_STREAM,
    PARKED_STREAM,
    dead_subject,
    parked_subject,
)
from brokerage.domain.exposure import Exposure

VALUED_MAX: Final = 500
"""One question to the server each."""
_REPORT: Final = msgspec.json.Decoder(ExecutionReport)


@dataclass(frozen=True, slots=True)
class ExecutionStreams:
    """Where `EXECUTIONS` begins and ends in the exchange's member sequence (0 and 0: it is empty),
    how many of its reports nobody has given up yet, and how many lie aside.
    """

    first_feed_seq: int
    last_feed_seq: int
    waiting: int
    parked: int
    dead: int


async def execution_streams(bus: Bus) -> ExecutionStreams:
    """Look at all of them. Raises `BusUnavailable`, also where one does not exist."""
    with bus_errors("executions' streams"):
        state = (await bus.jetstream.stream_info(EXECUTIONS_STREAM)).state
        first = last = None
        if state.messages:
            first = await bus.jetstream.get_msg(EXECUTIONS_STREAM, seq=state.first_seq)
            last = await bus.jetstream.get_msg(EXECUTIONS_STREAM, seq=state.last_seq)
        try:
            consumer = await bus.jetstream.consumer_info(EXECUTIONS_STREAM, CONSUMER)
            waiting = (consumer.num_pending or 0) + (consumer.num_ack_pending or 0)
        except NotFoundError:
            # The executions process makes it; until then nobody was given anything.
            waiting = state.messages
        parked = (await bus.jetstream.stream_info(PARKED_STREAM)).state.messages
        dead = (await bus.jetstream.stream_info(DEAD_STREAM)).state.messages
    return ExecutionStreams(_feed_seq(first), _feed_seq(last), waiting, parked, dead)


async def begin_executions_anew(bus: Bus) -> None:
    """Put an empty stream in the place of `EXECUTIONS`: the feed goes on after what is settled.

    Nothing is lost by it: the exchange replays its messages from the very first. Emptied only, the
    stream would still know their ids, and drop them as repeated. Raises `BusUnavailable`.
    """
    with bus_errors("delete executions"), suppress(NotFoundError):
        await bus.jetstream.delete_stream(EXECUTIONS_STREAM)
    await ensure_streams(bus)


def _feed_seq(message: RawStreamMsg | None) -> int:
    headers = (message.headers if message else None) or {}
    return int(headers.get(FEED_SEQ_HEADER, "0"))


async def laid_aside(bus: Bus, external_order_id: str) -> tuple[int, int]:
    """How many reports of one order are parked, and how many are dead. Raises `BusUnavailable`."""
    return (
        await _count(bus, PARKED_STREAM, parked_subject(external_order_id)),
        await _count(bus, DEAD_STREAM, dead_subject(external_order_id)),
    )


async def _count(bus: Bus, stream: str, subject: str) -> int:
    with bus_errors(stream):
        info = await bus.jetstream.stream_info(stream, subjects_filter=subject)
    return sum((info.state.subjects or {}).values())


async def unbooked(bus: Bus) -> list[Exposure]:
    """Reports that lie in each stream and are not settled, at the prices they were executed at.

    Of each stream the oldest `VALUED_MAX` are valued, all are counted. Raises `BusUnavailable`.
    """
    with bus_errors("executions' consumer"):
        try:
            consumer = await bus.jetstream.consumer_info(EXECUTIONS_STREAM, CONSUMER)
            settled = consumer.ack_floor.stream_seq if consumer.ack_floor else 0
        except NotFoundError:
            settled = 0
    return [
        await _unbooked(bus, "executions-under-way", EXECUTIONS_STREAM, "executions.>", settled),
        await _unbooked(bus, "executions-parked", PARKED_STREAM, parked_subject(">"), 0),
        await _unbooked(bus, "dead-letters", DEAD_STREAM, dead_subject(">"), 0),
    ]


async def _unbooked(bus: Bus, cause: str, stream: str, subject: str, after: int) -> Exposure:
    with bus_errors(stream):
        state = (await bus.jetstream.stream_info(stream)).state
        count = min(state.messages, max(0, state.last_seq - after))
        reports: list[ExecutionReport] = []
        unreadable = 0
        while len(reports) + unreadable < min(count, VALUED_MAX):
            try:
                message = await bus.jetstream.get_msg(
                    stream, seq=after + 1, subject=subject, next=True
                )
            except NotFoundError:
                # It was settled meanwhile.
                count = len(reports) + unreadable
                break
            after = message.seq or after + 1
            try:
                reports.append(_REPORT.decode(message.data or b""))
            except msgspec.DecodeError:
                unreadable += 1
    return Exposure(
        cause,
        count,
        sum(report.shares * report.price_cents for report in reports),
        min((datetime.fromtimestamp(one.at_ms / 1000, UTC) for one in reports), default=None),
        is_complete=count == len(reports),
    )
