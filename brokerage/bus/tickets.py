"""Tickets: what opens one stream where no header can be sent, for some seconds, through any node.

A ticket is random and is kept as a digest: who reads the bucket cannot use what is in it. A user
has a fixed number of places for unused ones, so that asking again and again fills no memory.
"""

import asyncio
import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
from nats.js.errors import (
    APIError,
    KeyNotFoundError,
    KeyWrongLastSequenceError,
    NoStreamResponseError,
)
from nats.js.kv import KeyValue

from brokerage.bus import metrics
from brokerage.bus.connection import Bus, BusUnavailable, bus_errors
from brokerage.bus.streams import TICKETS, ensure_stream
from brokerage.contracts.subjects import TICKETS_BUCKET

TICKETS_PER_USER_MAX: Final = 16
"""Unused ones; a browser that comes back opens all of its pages' streams at once."""
ANSWER_SECONDS: Final = 2.0

USER_BYTES: Final = 16
SECRET_BYTES: Final = 16
TICKET_BYTES: Final = USER_BYTES + 1 + SECRET_BYTES
"""Divisible by three: no ticket has padding, which a URL would have to escape."""
TICKET_CHARS: Final = TICKET_BYTES // 3 * 4
WRONG_LAST_SEQUENCE: Final = (10071, 10164)


class TooManyTickets(Exception):
    """The user holds as many unused tickets as anybody may."""


class TicketInvalid(Exception):
    """Used, too old, or never given out: which of these is not told."""


class _Stored(msgspec.Struct, frozen=True):
    user_id: str
    digest: bytes


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Stored)


class Tickets:
    """The bucket `tickets`. Everything here raises `BusUnavailable` when it cannot be reached."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        # Not looked up: that would ask the server once more for each ticket.
        self._bucket = KeyValue(
            TICKETS_BUCKET,
            TICKETS.name or "",
            f"$KV.{TICKETS_BUCKET}.",
            bus.jetstream,
            direct=False,
        )

    async def issue(self, user_id: str) -> str:
        """A new ticket of the user, fit for a URL. Raises `TooManyTickets`."""
        user = _user_bytes(user_id)
        secret = secrets.token_bytes(SECRET_BYTES)
        stored = _ENCODER.encode(_Stored(user_id, _digest(secret)))
        with self._errors():
            async with asyncio.timeout(ANSWER_SECONDS):
                place = await self._store(user, stored)
        return urlsafe_b64encode(user + bytes([place]) + secret).decode()

    async def redeem(self, ticket: str) -> str:
        """The user's id, for the first who shows the ticket; raises `TicketInvalid` for all else.

        After `BusUnavailable` it may have been used up all the same.
        """
        try:
            user, place, secret = _parts(ticket)
            with self._errors():
                async with asyncio.timeout(ANSWER_SECONDS):
                    user_id = await self._use_up(_key(user, place), secret)
        except TicketInvalid:
            metrics.TICKETS.labels("invalid").inc()
            raise
        metrics.TICKETS.labels("redeemed").inc()
        return user_id

    async def _use_up(self, key: str, secret: bytes) -> str:
        try:
            entry = await self._bucket.get(key)
            stored = _DECODER.decode(entry.value or b"")
            if not hmac.compare_digest(stored.digest, _digest(secret)):
                raise TicketInvalid
            # Of several who got this far one deletes what all of them have seen.
            await self._bucket.delete(key, last=entry.revision)
        # A bucket that is gone (NATS lost its memory) took its tickets along.
        except (KeyNotFoundError, NoStreamResponseError) as error:
            raise TicketInvalid from error
        except APIError as error:
            if error.err_code in WRONG_LAST_SEQUENCE:
                raise TicketInvalid from error
            raise
        return stored.user_id

    async def _store(self, user: bytes, stored: bytes) -> int:
        first = secrets.randbelow(TICKETS_PER_USER_MAX)
        for step in range(TICKETS_PER_USER_MAX):
            place = (first + step) % TICKETS_PER_USER_MAX
            try:
                await self._create(_key(user, place), stored)
            # Taken; or taken, and free again when it was looked at.
            except (KeyWrongLastSequenceError, KeyNotFoundError):
                continue
            metrics.TICKETS.labels("issued").inc()
            return place
        metrics.TICKETS.labels("refused").inc()
        raise TooManyTickets

    async def _create(self, key: str, stored: bytes) -> None:
        try:
            await self._bucket.create(key, stored)
        except NoStreamResponseError:
            # It is in memory: after a restart of NATS whoever needs it first makes it anew.
            await ensure_stream(self._bus, TICKETS)
            await self._bucket.create(key, stored)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        if not self._bus.connected:
            # The driver would keep the request and send it when nobody waits for it any more.
            raise BusUnavailable("tickets: no link")
        with bus_errors("tickets"):
            yield


def _user_bytes(user_id: str) -> bytes:
    return hashlib.blake2b(user_id.encode(), digest_size=USER_BYTES).digest()


def _digest(secret: bytes) -> bytes:
    return hashlib.blake2b(secret, digest_size=SECRET_BYTES).digest()


def _key(user: bytes, place: int) -> str:
    return f"{user.hex()}.{place}"


def _parts(ticket: str) -> tuple[bytes, int, bytes]:
    """The user's part, the place and the secret; raises `TicketInvalid` for another shape."""
    try:
        raw = urlsafe_b64decode(ticket) if len(ticket) == TICKET_CHARS else b""
    except ValueError as error:
        raise TicketInvalid from error
    if len(raw) != TICKET_BYTES or raw[USER_BYTES] >= TICKETS_PER_USER_MAX:
        raise TicketInvalid
    return raw[:USER_BYTES], raw[USER_BYTES], raw[USER_BYTES + 1 :]
