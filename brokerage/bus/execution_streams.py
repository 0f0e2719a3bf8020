"""The executions' streams as a whole: how far they reach, what waits in them, and a new start."""

from contextlib import suppress
from dataclasses import dataclass

from nats.js.api import RawStreamMsg, StreamState
from nats.js.errors import NotFoundError

from brokerage.bus.connection import Bus, bus_errors
from brokerage.bus.execution_log import FEED_SEQ_HEADER
from brokerage.bus.executions import CONSUMER
from brokerage.bus.streams import ensure_streams
from brokerage.contracts.subjects import (
    DEAD_STREAM,
    EXECUTIONS_STREAM,
    PARKED_STREAM,
)


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
        waiting = await _waiting(bus, state)
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


async def _waiting(bus: Bus, state: StreamState) -> int:
    try:
        consumer = await bus.jetstream.consumer_info(EXECUTIONS_STREAM, CONSUMER)
    except NotFoundError:
        # The executions process makes it; until then nobody was given anything.
        return state.messages
    # Not its own count of what is left: on a busy server that has been seen to lag behind a report
    # whose storing was already confirmed.
    given = consumer.delivered.stream_seq if consumer.delivered else 0
    left = state.last_seq - max(given, state.first_seq - 1)
    return max(left, 0) + (consumer.num_ack_pending or 0)


def _feed_seq(message: RawStreamMsg | None) -> int:
    headers = (message.headers if message else None) or {}
    return int(headers.get(FEED_SEQ_HEADER, "0"))
