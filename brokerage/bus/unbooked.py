"""What the exchange reported and nobody has settled yet, as money."""

from datetime import UTC, datetime
from typing import Final

import msgspec
from nats.js.errors import NotFoundError

from brokerage.bus.connection import Bus, bus_errors
from brokerage.bus.executions import CONSUMER
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
