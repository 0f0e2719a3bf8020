"""Clients that nobody here wrote, each held as its users would hold it, recording what it hears."""

import asyncio
import fcntl
import json
import re
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import ClassVar, Final

import httpx
from httpx_sse import aconnect_sse
from playwright.async_api import Page

from devstack.errors import StackError
from devstack.spawn import die_with_parent, kill_session, run
from tests.support.price_recording import Connection, Recording, StreamEvent
from tests.support.price_viewer import events_of
from tests.support.programs import CannotRun, chromium, found
from tests.support.running import ROOT, inherited

HERE: Final = Path(__file__).parent
MODULES: Final = HERE / "node_modules"
RETURN_SECONDS: Final = 1.0
INSTALL_SECONDS: Final = 120.0
STEP_MS: Final = 120_000
KINDS: Final = ("hello", "prices", "stale", "live")


class ForeignClient(ABC):
    """One client, as the user of `token`; `follow` holds its stream for as long as it runs."""

    name: ClassVar[str]
    hears_comments: ClassVar[bool] = False

    def __init__(self, url: str, token: str, symbols: Sequence[str]) -> None:
        self.url = url
        self.token = token
        self.symbols = tuple(symbols)
        self.recording = Recording(self.name, self.hears_comments)

    @property
    def address(self) -> str:
        """Where the stream is, for a client that can only GET."""
        return f"{self.url}/subscribe?symbols={','.join(self.symbols)}"

    @abstractmethod
    async def follow(self) -> None:
        """Follow the stream for ever. Raises `CannotRun`."""

    def opened(self) -> None:
        """A stream is open."""
        self.recording.connections.append(Connection(self.symbols, time.monotonic()))

    def lost(self) -> None:
        """It is no more."""
        for connection in self.recording.connections[-1:]:
            if connection.closed_at is None:
                connection.closed_at = time.monotonic()

    def heard(self, kind: str, data: str) -> None:
        """What an EventSource tells: that it opened, that it lost its stream, an event."""
        if kind == "open":
            self.opened()
        elif kind == "lost":
            self.lost()
        else:
            self.note(StreamEvent(time.monotonic(), kind, data))

    def note(self, event: StreamEvent) -> None:
        """An event of the open stream."""
        self.recording.connections[-1].events.append(event)


class Curl(ForeignClient):
    """`while :; do curl -N ...; sleep 1; done`: curl never comes back by itself."""

    name = "curl"
    hears_comments = True

    async def follow(self) -> None:
        curl = found("curl")
        while True:
            async with child(
                *(curl, "-N", "-sS", "-f", "--noproxy", "*"),
                *("-H", f"Authorization: Bearer {self.token}"),
                *("-H", "Content-Type: application/json"),
                *("-d", json.dumps({"symbols": self.symbols})),
                f"{self.url}/subscribe",
            ) as output:
                try:
                    async for event in events_of(parts_of(output)):
                        if event.kind == "hello":
                            self.opened()
                        self.note(event)
                finally:
                    self.lost()
            await asyncio.sleep(RETURN_SECONDS)


class HttpxSse(ForeignClient):
    """The Python package `httpx-sse`, which leaves it to its user to come back."""

    name = "httpx-sse"

    async def follow(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        retry_seconds = RETURN_SECONDS
        async with httpx.AsyncClient(trust_env=False, headers=headers, timeout=60.0) as http:
            while True:
                body = {"symbols": self.symbols}
                with suppress(httpx.TransportError):
                    async with aconnect_sse(
                        http, "POST", f"{self.url}/subscribe", json=body
                    ) as source:
                        if source.response.status_code == 200:
                            self.opened()
                            async for event in source.aiter_sse():
                                self.heard(event.event, event.data)
                                if event.retry is not None:
                                    retry_seconds = event.retry / 1000
                self.lost()
                await asyncio.sleep(retry_seconds)


class NpmEventSource(ForeignClient):
    """The npm package `eventsource`; installed on first use, as its lock says."""

    name = "npm eventsource"

    async def follow(self) -> None:
        node, npm = found("node"), found("npm")
        await installed(npm)
        async with child(node, str(HERE / "follow.js"), self.address, self.token) as output:
            async for line in output:
                self.heard(**json.loads(line))
        raise AssertionError("follow.js ended")


class Chromium(ForeignClient):
    """The EventSource of a real browser, with the page that `docs/http.md` shows."""

    name = "chromium"

    async def follow(self) -> None:
        async with chromium() as browser:
            await self._open(await browser.new_page())
            await asyncio.Event().wait()

    async def _open(self, page: Page) -> None:
        page.set_default_timeout(STEP_MS)
        await page.expose_function("heard", self.heard)
        await page.goto(f"{self.url}/livez")
        given = {"token": self.token, "symbols": ",".join(self.symbols), "kinds": KINDS}
        await page.evaluate(
            f"""({{token, symbols, kinds}}) => {{
                const show = () => {{}};
                window.EventSource = class extends EventSource {{
                    constructor(address) {{
                        super(address);
                        this.addEventListener("open", () => heard("open", ""));
                        this.addEventListener("error", () => heard("lost", ""));
                        for (const kind of kinds)
                            this.addEventListener(kind, (event) => heard(kind, event.data));
                    }}
                }};
                {page_script()}
                follow();
            }}""",
            given,
        )


CLIENTS: Final[tuple[type[ForeignClient], ...]] = (Curl, HttpxSse, NpmEventSource, Chromium)


def page_script() -> str:
    """The script of a page that comes back, from the documentation."""
    text = (ROOT / "docs" / "http.md").read_text()
    block = re.search(r"^    const later =.*?\n\n(?=\S)", text, re.MULTILINE | re.DOTALL)
    assert block is not None, "docs/http.md no longer shows how a page comes back"
    return block[0]


async def installed(npm: str) -> None:
    """Install what `package-lock.json` says. Raises `CannotRun`."""
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    try:
        # `npm ci` begins by removing all there is: one process of tests at a time. It ends by
        # writing its own lock there: without that, it was cut off in the middle.
        with (HERE / "package-lock.json").open() as lock:
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            parts = [*wanted, ".package-lock.json"]
            if all((MODULES / name).exists() for name in parts):
                return
            command = (npm, "ci", "--no-audit", "--no-fund")
            async with asyncio.timeout(INSTALL_SECONDS):
                await run(command, environment=inherited(), folder=HERE)
    except (StackError, TimeoutError) as error:
        raise CannotRun(f"npm could not install {', '.join(wanted)}: {error}") from error


@asynccontextmanager
async def child(*command: str) -> AsyncIterator[asyncio.StreamReader]:
    """What a program prints, which lives no longer than the block."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=inherited(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=2**20,
        start_new_session=True,
        preexec_fn=die_with_parent(signal.SIGKILL),
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        await kill_session(process)


async def parts_of(output: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """What comes, as it comes."""
    while part := await output.read(2**16):
        yield part
