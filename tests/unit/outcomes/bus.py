"""Between workers and gateways: requests that are lost, late, repeated, or answered to nobody."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from brokerage.bus.connection import Bus, BusUnavailable, Respond
from tests.unit.outcomes.chance import Chance
from tests.unit.outcomes.workers import Worker

BUS_FAULTS: Final = {"nobody there": 2, "late": 2, "the reply is lost": 2, "comes twice": 1}

Take = Callable[[bytes, Respond], None]


class MemoryBus(Bus):
    """The server: gateways serve on it, and each request goes to one of them."""

    def __init__(self, chance: Chance) -> None:
        self.chance = chance
        self._served: dict[str, list[Take]] = {}

    async def serve(self, subject: str, queue: str, take: Take) -> Any:
        self._served.setdefault(subject, []).append(take)

    async def flush(self) -> None:
        """Nothing is under way."""

    def deliver(self, subject: str, payload: bytes, respond: Respond) -> None:
        """Hand a request to one of the gateways."""
        self.chance.random.choice(self._served[subject])(payload, respond)


class WorkerBus(Bus):
    """One worker's connection."""

    def __init__(self, server: MemoryBus, worker: Worker) -> None:
        self._server = server
        self._worker = worker

    async def notify(self, subject: str, payload: bytes) -> None:
        """Nobody listens: hints are never relied upon."""

    async def request(self, subject: str, payload: bytes, timeout_seconds: float) -> bytes:
        await self._worker.gate("before asking the gateway")
        try:
            return await self._request(subject, payload, timeout_seconds)
        finally:
            await self._worker.gate("after asking the gateway")

    async def _request(self, subject: str, payload: bytes, timeout_seconds: float) -> bytes:
        chance, loop = self._server.chance, asyncio.get_running_loop()
        reply: asyncio.Future[bytes] = loop.create_future()
        fate = chance.fate("bus", BUS_FAULTS)

        async def respond(answer: bytes) -> None:
            await chance.passes(0.0005, 0.004)
            if fate != "the reply is lost" and not reply.done():
                reply.set_result(answer)

        if fate == "nobody there":
            raise BusUnavailable("no responders")
        delay = chance.late_seconds(1, 60) if fate == "late" else chance.seconds(0.0005, 0.004)
        loop.call_later(delay, self._server.deliver, subject, payload, respond)
        if fate == "comes twice":
            delay = chance.late_seconds(0.1, 60)
            loop.call_later(delay, self._server.deliver, subject, payload, respond)
        try:
            async with asyncio.timeout(timeout_seconds):
                return await reply
        except TimeoutError as error:
            raise BusUnavailable("no answer in time") from error
