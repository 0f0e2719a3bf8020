"""The feed's side of the stream `EXECUTIONS`: append in order, and find where it ends."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from nats.js.errors import NotFoundError

from brokerage.bus.connection import Bus, BusUnavailable, bus_errors
from brokerage.contracts.subjects import EXECUTIONS_STREAM

log = structlog.get_logger()

FEED_SEQ_HEADER: Final = "Sherwood-Feed-Seq"
SESSION_HEADER: Final = "Sherwood-Feed-Session"
MESSAGE_ID_HEADER: Final = "Nats-Msg-Id"
APPEND_MAX: Final = 256
"""So many entries are on their way at most before the first is acknowledged."""
ACK_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One message for the stream.

    `feed_seq` is the exchange's member sequence, `session` the exchange's name for the journal in
    which that sequence counts.
    """

    subject: str
    payload: bytes
    message_id: str
    feed_seq: int
    session: str


@dataclass(frozen=True, slots=True)
class LogEnd:
    """Where the newest message of the stream stands in the exchange's sequence."""

    feed_seq: int
    session: str


class ExecutionLog:
    """Appends to `EXECUTIONS`. There is one writer, the feed."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def made_at(self) -> datetime | None:
        """When the stream was made: one that was lost and made anew has another time.

        Raises `BusUnavailable`, also when the stream does not exist.
        """
        with bus_errors("executions"):
            return (await self._bus.jetstream.stream_info(EXECUTIONS_STREAM)).created

    async def end(self) -> LogEnd | None:
        """Where the newest message stands, None for an empty stream.

        Raises `BusUnavailable`, also when the stream does not exist.
        """
        with bus_errors("end of executions"):
            state = (await self._bus.jetstream.stream_info(EXECUTIONS_STREAM)).state
            if state.messages == 0:
                return None
            try:
                message = await self._bus.jetstream.get_msg(EXECUTIONS_STREAM, seq=state.last_seq)
            except NotFoundError:
                return None
        headers = message.headers or {}
        return LogEnd(int(headers.get(FEED_SEQ_HEADER, "0")), headers.get(SESSION_HEADER, ""))

    async def append(self, entries: Sequence[LogEntry]) -> int:
        """Send at most `APPEND_MAX` entries in order and wait for all their acknowledgements.

        Returns how many, counted from the first, are certainly stored; those after it are unknown
        and to be sent again (the stream recognises them by `message_id`).
        """
        acknowledgements = []
        cause: BaseException | None = None
        try:
            with bus_errors("append"):
                for entry in entries[:APPEND_MAX]:
                    headers = {
                        MESSAGE_ID_HEADER: entry.message_id,
                        FEED_SEQ_HEADER: str(entry.feed_seq),
                        SESSION_HEADER: entry.session,
                    }
                    acknowledgements.append(
                        await self._bus.jetstream.publish_async(
                            entry.subject,
                            entry.payload,
                            stream=EXECUTIONS_STREAM,
                            headers=headers,
                        )
                    )
        except BusUnavailable as error:
            cause = error
        try:
            if acknowledgements:
                await asyncio.wait(acknowledgements, timeout=ACK_SECONDS)
        finally:
            for acknowledgement in acknowledgements:
                acknowledgement.cancel()
        stored = 0
        for acknowledgement in acknowledgements:
            failure = TimeoutError() if acknowledgement.cancelled() else acknowledgement.exception()
            if failure is None and cause is None:
                stored += 1
            elif failure is not None:
                # Looked at all of them: a failure nobody reads is a complaint by asyncio.
                cause = cause or failure
        if cause is not None:
            log.warning("executions_not_stored", stored=stored, cause=repr(cause))
        return stored
