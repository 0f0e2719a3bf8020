"""The last tick of each symbol, read from the stream that keeps one message a subject."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from nats.aio.msg import Msg

from brokerage.bus.beat import Resend
from brokerage.bus.connection import Bus, BusUnavailable, bus_errors
from brokerage.bus.tick import EPOCH_SHIFT, Tick, decode_tick, version_of
from brokerage.contracts.subjects import FEED_RESEND, PRICES_STREAM, price_subject

DIRECT_GET: Final = f"$JS.API.DIRECT.GET.{PRICES_STREAM}"
ANSWER_SECONDS: Final = 2.0
MULTI_MAX: Final = 256
"""The server refuses more than 1,024 in one request; smaller ones let others in between."""
PAGE_MAX: Final = 1_000
RESEND_SECONDS: Final = 0.05
"""The feed publishes everything again within this time of being asked."""


class LastPrices:
    """Reads of the last-value stream. All raise `BusUnavailable` when nobody answers in time.

    `v_min` gives the least version that counts. A process that stopped being the feed while it was
    frozen may have overwritten newer ticks by what only then left its buffers: such a one is asked
    for again and, if it stays, counts as none.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.v_min: Callable[[], int] = lambda: 0

    async def get(self, symbol: str) -> Tick | None:
        """The last tick; None if the symbol never traded."""
        fragment = (await self.fragments([symbol])).get(symbol)
        return None if fragment is None else decode_tick(fragment)

    async def fragments(self, symbols: Sequence[str]) -> dict[str, bytes]:
        """The last tick of each of `symbols` as it was encoded; those never traded are absent."""
        found = await self._read(symbols)
        if old := self._old_in(found):
            epoch = msgspec.json.encode(Resend(self.v_min() >> EPOCH_SHIFT))
            await self._bus.notify(FEED_RESEND, epoch)
            await asyncio.sleep(RESEND_SECONDS)
            found |= await self._read(old)
            for symbol in self._old_in(found):
                del found[symbol]
        return found

    def _old_in(self, found: dict[str, bytes]) -> list[str]:
        v_min = self.v_min()
        return [symbol for symbol, fragment in found.items() if version_of(fragment) < v_min]

    async def _read(self, symbols: Sequence[str]) -> dict[str, bytes]:
        if len(symbols) == 1:
            subject = f"{DIRECT_GET}.{price_subject(symbols[0])}"
            payload = await self._bus.request(subject, b"", ANSWER_SECONDS)
            return {symbols[0]: payload} if payload else {}
        found: dict[str, bytes] = {}
        for start in range(0, len(symbols), MULTI_MAX):
            named = {price_subject(symbol): symbol for symbol in symbols[start : start + MULTI_MAX]}
            messages, _ = await self._collect({"multi_last": list(named)})
            for subject, payload in messages:
                found[named[subject]] = payload
        return found

    async def all(self) -> list[Tick]:
        """The last tick of every symbol that ever traded, sorted by symbol; old ones too."""
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
