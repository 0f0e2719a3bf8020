"""Reports that the exchange attributes to no order of ours, as they lie in `DEAD_LETTERS`."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from brokerage.bus.connection import Bus, BusUnavailable, bus_errors
from brokerage.bus.executions import (
    MESSAGE_ID_HEADER,
    ORIGIN_HEADER,
    PARKED_AT_HEADER,
    REASON_HEADER,
)
from brokerage.bus.streams import delete_message
from brokerage.contracts.subjects import DEAD_STREAM, PARKED_STREAM, dead_subject, parked_subject


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One letter. `letter_id` is its place in the stream, which no other letter ever has; `reason`
    is why it was buried, `buried_at` when.
    """

    letter_id: int
    external_order_id: str
    message_id: str
    subject: str
    reason: str
    buried_at: datetime
    payload: bytes


class DeadLetters:
    """Reads letters, sends them again, takes them out. Every method raises `BusUnavailable`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def after(self, letter_id: int, limit: int) -> list[DeadLetter]:
        """At most `limit` letters after this one, oldest first."""
        found: list[DeadLetter] = []
        while len(found) < limit:
            message = await self._message(letter_id + 1, next_one=True)
            if message is None:
                break
            found.append(_letter(message))
            letter_id = found[-1].letter_id
        return found

    async def letter(self, letter_id: int) -> DeadLetter | None:
        """One letter, or None where it is there no more."""
        message = await self._message(letter_id)
        return None if message is None else _letter(message)

    async def replay(self, letter: DeadLetter) -> None:
        """Put it among the parked reports, which are tried again and again, and out of here.

        Safe to repeat. Its id is a new one: under the old one, JetStream would take it for the
        report that was parked before, and later for the letter that was here.
        """
        headers = {
            MESSAGE_ID_HEADER: f"{letter.message_id}:{letter.letter_id}",
            PARKED_AT_HEADER: f"{time.time():.3f}",
            ORIGIN_HEADER: letter.subject,
        }
        with bus_errors("replay dead letter"):
            await self._bus.jetstream.publish(
                parked_subject(letter.external_order_id),
                letter.payload,
                timeout=2,
                stream=PARKED_STREAM,
                headers=headers,
            )
        await self.remove(letter)

    async def remove(self, letter: DeadLetter) -> None:
        """Take it out of the stream; one that is gone already stays gone."""
        await delete_message(self._bus, DEAD_STREAM, letter.letter_id)

    async def _message(self, sequence: int, *, next_one: bool = False) -> RawStreamMsg | None:
        try:
            with bus_errors("dead letters"):
                return await self._bus.jetstream.get_msg(
                    DEAD_STREAM,
                    seq=sequence,
                    subject=dead_subject(">") if next_one else None,
                    next=next_one,
                )
        except BusUnavailable as error:
            if isinstance(error.__cause__, NotFoundError):
                return None
            raise


def _letter(message: RawStreamMsg) -> DeadLetter:
    headers = message.headers or {}
    return DeadLetter(
        letter_id=message.seq or 0,
        external_order_id=(message.subject or "").partition(".")[2],
        message_id=headers.get(MESSAGE_ID_HEADER, ""),
        subject=headers.get(ORIGIN_HEADER, ""),
        reason=headers.get(REASON_HEADER, ""),
        buried_at=message.time or datetime.fromtimestamp(0, UTC),
        payload=message.data or b"",
    )
