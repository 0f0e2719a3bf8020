"""The small facts about the market that all processes share: the directory, the feed's epoch."""

from collections.abc import Awaitable, Callable
from typing import Final

from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from brokerage.bus.connection import Bus, BusSubscription, bus_errors
from brokerage.contracts.subjects import MARKET_BUCKET

DIRECTORY_KEY: Final = "directory"
EPOCH_KEY: Final = "epoch"


class MarketFacts:
    """The bucket `market`. Everything here raises `BusUnavailable` when it cannot be reached."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def next_epoch(self, above: int = 0) -> int:
        """Claim the next epoch: a number that no other run of the feed has had or will have.

        It is higher than `above` too: the newest that anybody remembers, should the bucket have
        been lost.
        """
        with bus_errors("epoch"):
            bucket = await self._bucket()
            while True:
                try:
                    entry = await bucket.get(EPOCH_KEY)
                    epoch = max(int(entry.value or b"0"), above) + 1
                    await bucket.update(EPOCH_KEY, str(epoch).encode(), last=entry.revision)
                except KeyNotFoundError:
                    epoch = above + 1
                    try:
                        await bucket.create(EPOCH_KEY, str(epoch).encode())
                    except KeyWrongLastSequenceError:
                        continue
                except KeyWrongLastSequenceError:
                    continue
                return epoch

    async def directory(self) -> bytes | None:
        """JSON list of `{"symbol", "name"}`; None before the feed has ever heard one."""
        with bus_errors("directory"):
            try:
                return (await (await self._bucket()).get(DIRECTORY_KEY)).value
            except KeyNotFoundError:
                return None

    async def put_directory(self, payload: bytes) -> bool:
        """Store the directory where it differs from what is there; true if it did."""
        if await self.directory() == payload:
            return False
        with bus_errors("directory"):
            await (await self._bucket()).put(DIRECTORY_KEY, payload)
        return True

    async def watch_directory(self, handle: Callable[[bytes], Awaitable[None]]) -> BusSubscription:
        """Call `handle` with every directory stored from now on; reread after a reconnection."""

        async def stored(subject: str, payload: bytes) -> None:
            if payload:
                await handle(payload)

        # A put is a plain publish on this subject: hearing it needs no consumer on the server.
        return await self._bus.subscribe(f"$KV.{MARKET_BUCKET}.{DIRECTORY_KEY}", stored)

    async def _bucket(self) -> KeyValue:
        return await self._bus.jetstream.key_value(MARKET_BUCKET)
