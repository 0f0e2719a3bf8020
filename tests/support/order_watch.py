"""Clients that follow one user's orders through everything, each in its own way of coming back."""

import asyncio
import json
import random
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, ClassVar, Final

import httpx
import msgspec
from httpx_sse import aconnect_sse

from client.auth import BearerToken
from client.errors import SherwoodError
from client.order_events import Begun, OrderEvent
from client.sherwood import Sherwood
from devstack.spawn import die_with_parent, kill_session
from tests.support.accounts import Account
from tests.support.order_follower import PATH
from tests.support.order_log_checker import Heard, Row, shown
from tests.support.running import inherited

RETURN_SECONDS: Final = 0.2
LOST: Final = (httpx.TransportError, SherwoodError)


class Follower(ABC):
    """Follows the user from the first event on, at any of `urls`; `kill` is how it dies in between.

    What it does not live to note it never had: it comes back after the last event it noted.
    """

    kind: ClassVar[str]

    def __init__(self, user: Account, urls: Sequence[str]) -> None:
        self.user = user
        self.heard: list[Heard] = []
        self.connections = 0
        self._urls = urls

    @property
    def name(self) -> str:
        """Who it is, for a message."""
        return f"{self.kind} of {self.user.user}"

    @property
    def last_seq(self) -> int:
        """The last event it noted."""
        return self.heard[-1].seq if self.heard else 0

    async def run(self) -> None:
        """Follow for ever, however often a connection ends."""
        while True:
            with suppress(*LOST):
                await self._follow(random.choice(self._urls))
            await asyncio.sleep(RETURN_SECONDS)

    @abstractmethod
    async def _follow(self, url: str) -> None:
        """Hold one connection."""

    @abstractmethod
    def kill(self) -> None:
        """End its connection in the middle of whatever it reads."""

    @staticmethod
    def shown(row: Row) -> dict[str, Any]:
        """What it must have been told of a row of the table."""
        return shown(row)

    def take(self, kind: str, event_id: str, data: str) -> None:
        """Note an event."""
        if kind == "hello":
            self.connections += 1
        if kind == "order":
            self.heard.append(Heard(int(event_id), data))


class Curl(Follower):
    """`curl -N`, killed as a process."""

    kind = "curl"

    def __init__(self, user: Account, urls: Sequence[str]) -> None:
        super().__init__(user, urls)
        self._process: asyncio.subprocess.Process | None = None

    async def _follow(self, url: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *("curl", "-N", "-sS", "-f", "--noproxy", "*"),
            *("-H", f"Authorization: Bearer {self.user.token}"),
            *("-H", f"Last-Event-ID: {self.last_seq}"),
            f"{url}{PATH}",
            env=inherited(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=2**20,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
        self._process, rest = process, b""
        assert process.stdout is not None
        try:
            while part := await process.stdout.read(65_536):
                # What has no end yet, the death of either side may cut off.
                *events, rest = (rest + part).split(b"\n\n")
                for event in events:
                    fields = dict(line.partition(": ")[::2] for line in event.decode().split("\n"))
                    self.take(fields["event"], fields.get("id", ""), fields["data"])
        finally:
            await kill_session(process)

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()


class InProcess(Follower):
    """One that reads in a task of its own, which is cancelled when it dies."""

    def __init__(self, user: Account, urls: Sequence[str]) -> None:
        super().__init__(user, urls)
        self._reading: asyncio.Task[None] | None = None

    async def _follow(self, url: str) -> None:
        async with asyncio.TaskGroup() as tasks:
            self._reading = tasks.create_task(self._read_until_lost(url))

    async def _read_until_lost(self, url: str) -> None:
        # Here, since out of a task group it would come as one of several.
        with suppress(*LOST):
            await self._read(url)

    @abstractmethod
    async def _read(self, url: str) -> None:
        """Hold one connection."""

    def kill(self) -> None:
        if self._reading is not None:
            self._reading.cancel()


class HttpxSse(InProcess):
    """The package `httpx-sse`."""

    kind = "httpx-sse"

    async def _read(self, url: str) -> None:
        headers = {
            "authorization": f"Bearer {self.user.token}",
            "last-event-id": str(self.last_seq),
        }
        async with (
            httpx.AsyncClient(trust_env=False, timeout=20.0) as http,
            aconnect_sse(http, "GET", f"{url}{PATH}", headers=headers) as source,
        ):
            if source.response.status_code == 200:
                async for event in source.aiter_sse():
                    self.take(event.event, event.id, event.data)


class OurClient(InProcess):
    """The Python client, which comes back by itself; killed, another goes on where it was."""

    kind = "client"

    async def _read(self, url: str) -> None:
        async with (
            Sherwood(url, auth=BearerToken(self.user.token)) as sherwood,
            aclosing(sherwood.follow_orders(self.last_seq)) as stream,
        ):
            async for event in stream:
                if isinstance(event, Begun):
                    self.connections += 1
                elif isinstance(event, OrderEvent):
                    self.heard.append(Heard(event.seq, msgspec.json.encode(event).decode()))

    @staticmethod
    def shown(row: Row) -> dict[str, Any]:
        """As it gives it out: with what it knows of an order, its times written its way."""
        known = msgspec.convert(shown(row), OrderEvent)
        seen: dict[str, Any] = json.loads(msgspec.json.encode(known))
        return seen


FOLLOWERS: Final[tuple[type[Follower], ...]] = (Curl, HttpxSse, OurClient)


@asynccontextmanager
async def all_following(followers: Sequence[Follower]) -> AsyncIterator[None]:
    """Let them follow as long as the block."""
    async with asyncio.TaskGroup() as tasks:
        runs = [tasks.create_task(follower.run()) for follower in followers]
        try:
            yield
        finally:
            for run in runs:
                run.cancel()
