"""Which orders may leave, and which of them one gateway has in hand: a bucket in memory.

An order's row is said to be there by whoever wrote it, or has just read it. Every gateway hears
that, and finds in the bucket what it did not hear. An attempt to place is claimed by creating a key
that only one can create, and that goes by itself where its gateway died.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import structlog
from nats.js.api import DiscardPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from brokerage.bus.connection import Bus, BusUnavailable, bus_errors
from brokerage.bus.streams import MEBIBYTE, ensure_stream
from brokerage.contracts.gateway import PlaceRequest
from brokerage.contracts.placements import SEND_BY_SECONDS
from brokerage.contracts.subjects import EGRESS_BUCKET, entered_subject, live_subject

log = structlog.get_logger()

CLAIM_SECONDS: Final = 4
"""A claim whose gateway died stands in nobody's way for longer, so that an order has time left
before its `send_by`. An attempt is over before."""
ENTERED_SECONDS: Final = 2 * SEND_BY_SECONDS
ASK_SECONDS: Final = 0.8
"""A placement has 1.2 s; where the claim takes longer, there is no time left to send it."""
HEARD_MAX: Final = 20_000
WRONG_LAST_SEQUENCE: Final = 10071

_STREAM: Final = StreamConfig(
    name=f"KV_{EGRESS_BUCKET}",
    subjects=[f"$KV.{EGRESS_BUCKET}.>"],
    # Written for each order: a disk would cost it milliseconds. What is lost is entered again.
    storage=StorageType.MEMORY,
    max_age=ENTERED_SECONDS,
    max_msgs_per_subject=1,
    # Room for 2,500 orders a second. The server counts what is asked for again, before it sees that
    # it has it: the largest stream in memory must fit in twice.
    max_bytes=32 * MEBIBYTE,
    discard=DiscardPolicy.OLD,
    allow_direct=True,
    allow_msg_ttl=True,
)
_DECODER: Final = msgspec.json.Decoder(PlaceRequest)


class AlreadyLive(Exception):
    """An attempt to place this order is under way, here or at another gateway."""


class Entries:
    """The orders that may leave, and the claims on them. Everything raises `BusUnavailable`."""

    def __init__(self, bus: Bus, claim_seconds: int = CLAIM_SECONDS) -> None:
        self._bus = bus
        self._claim_seconds = claim_seconds
        self._heard: OrderedDict[str, PlaceRequest] = OrderedDict()

    def hear(self, payload: bytes) -> None:
        """Take in that an order's row is there."""
        try:
            entry = _DECODER.decode(payload)
        except msgspec.DecodeError as error:
            log.error("entry_unreadable", error=str(error))  # noqa: TRY400 - the text says it all
            return
        self._heard[entry.client_order_id] = entry
        if len(self._heard) > HEARD_MAX:
            self._heard.popitem(last=False)

    async def terms(self, order_id: str) -> PlaceRequest | None:
        """The terms of the order's row, or None where nobody said that it is there."""
        heard = self._heard.get(order_id)
        if heard is not None:
            return heard
        with bus_errors("entered orders"):
            try:
                async with asyncio.timeout(ASK_SECONDS):
                    message = await self._bus.jetstream.get_last_msg(
                        _STREAM.name or "", entered_subject(order_id), direct=True
                    )
            except NotFoundError:
                return None
        self.hear(message.data or b"")
        return self._heard.get(order_id)

    async def claim(self, order_id: str) -> int:
        """Take the order in hand; returns what `free` needs. Raises `AlreadyLive`."""
        try:
            return await self._create(order_id)
        except BusUnavailable as error:
            if not isinstance(error.__cause__, NoStreamResponseError):
                raise
        # It is in memory: after a restart of NATS whoever needs it first makes it anew.
        await ensure_stream(self._bus, _STREAM)
        return await self._create(order_id)

    async def free(self, claim: int) -> None:
        """Let others take it in hand, before the claim goes by itself."""
        with bus_errors("free a claim"):
            async with asyncio.timeout(ASK_SECONDS):
                await self._bus.jetstream.delete_msg(_STREAM.name or "", claim)

    async def _create(self, order_id: str) -> int:
        if not self._bus.connected:
            raise BusUnavailable("claim: no link")
        with bus_errors("claim"):
            try:
                async with asyncio.timeout(ASK_SECONDS):
                    stored = await self._bus.jetstream.publish(
                        live_subject(order_id),
                        b"",
                        headers={"Nats-Expected-Last-Subject-Sequence": "0"},
                        msg_ttl=self._claim_seconds,
                    )
            except APIError as error:
                if error.err_code == WRONG_LAST_SEQUENCE:
                    raise AlreadyLive from error
                raise
        return stored.seq


@asynccontextmanager
async def open_entries(bus: Bus, claim_seconds: int = CLAIM_SECONDS) -> AsyncIterator[Entries]:
    """Hear of entered orders as long as the block."""
    entries = Entries(bus, claim_seconds)
    subscription = await bus.listen(entered_subject("*"), entries.hear)
    try:
        yield entries
    finally:
        await subscription.close()
