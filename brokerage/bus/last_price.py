"""The last tick of each symbol, read from the stream that keeps one message a subject."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec
from nats.aio.msg import Msg

from brokerage.bus.connection import Bus, BusUnavailable, bus_errors
from brokerage.bus.tick import Tick, decode_tick
from brokerage.contracts.subjects import PRICES_STREAM, price_subject

DIRECT_GET: Final = f"$JS.API.DIRECT.GET.{PRICES_STREAM}"
ANSWER_SECONDS: Final = 2.0
MULTI_MAX: Final = 256
"""The server refuses more than 1,024 in one request; smaller ones let others in between."""
PAGE_MAX: Final = 1_000


class LastPrices:
    """Reads of the last-value stream. All raise `BusUnavailable` when nobody answers in time."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def get(self, symbol: str) -> Tick | None:
        """The last tick; None if the symbol never traded."""
        subject = f"{DIRECT_GET}.{price_subject(symbol)}"
        payload = await self._bus.request(subject, b"", ANSWER_SECONDS)
        return decode_tick(payload) if payload else None

    async def fragments(self, symbols: Sequence[str]) -> dict[str, bytes]:
        """The last tick of each of `symbols` as it was encoded; those never traded are absent."""
        found: dict[str, bytes] = {}
        for start in range(0, len(symbols), MULTI_MAX):
            named = {price_subject(symbol): symbol for symbol in symbols[start : start + MULTI_MAX]}
            messages, _ = await self._collect({"multi_last": list(named)})
            for subject, payload in messages:
                found[named[subject]] = payload
        return found

    async def all(self) -> list[Tick]:
        """The last tick of every symbol that ever traded, sorted by symbol."""
        newest: dict[str, bytes] = {}
        start = 1
        while True:
            request = {"seq": start, "batch": PAGE_MAX, "next_by_subj": "prices.*"}
            messages, headers = await self._collect(request)
            newest.update(messages)
            if not messages or headers.get("Nats-Num-Pending", "0") == "0":
                break
            start = int(headers["Nats-Last-Sequence"]) + 1
        return sorted((decode_tick(payload) for payload in newest.values()), key=_symbol)

    async def _collect(
        self, request: dict[str, object]
    ) -> tuple[list[tuple[str, bytes]], dict[str, str]]:
        """Every (subject, payload) of one direct get, and the headers that ended it."""
        messages: list[tuple[str, bytes]] = []
        ended: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

        async def hear(message: Msg) -> None:
            headers = message.headers or {}
            if "Nats-Subject" in headers:
                messages.append((headers["Nats-Subject"], message.data))
            elif not ended.done():
                ended.set_result(headers)

        client = self._bus.client
        with bus_errors("last prices"):
            inbox = client.new_inbox()
            subscription = await client.subscribe(inbox, cb=hear)
            try:
                await client.publish(DIRECT_GET, msgspec.json.encode(request), reply=inbox)
                headers = await asyncio.wait_for(ended, ANSWER_SECONDS)
            finally:
                await subscription.unsubscribe()
        if headers.get("Status") not in ("204", "404"):
            raise BusUnavailable(f"last prices: {dict(headers)}")
        return messages, headers


def _symbol(tick: Tick) -> str:
    return tick.symbol
