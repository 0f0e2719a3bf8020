"""The frame of every process without an API: signals, health, an orderly end.

`run` gives the body a `Process`; the body marks it ready when it serves, and returns soon after
`stopping` is set. SIGTERM and SIGINT set it. A body that raises ends the process with exit code 1.
"""

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from brokerage.runtime.heart import Heart
from brokerage.runtime.logs import configure_logs
from brokerage.runtime.metrics import CONTENT_TYPE, describe_process, exposition
from brokerage.runtime.settings import Settings
from brokerage.runtime.tracing import TracingUnavailable, start_tracing

log = structlog.get_logger()


class Process:
    """What the body of a process and its health endpoint say to each other."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stopping = asyncio.Event()
        self.failure: BaseException | None = None
        self.role: Callable[[], str] | None = None
        """What this copy is among those that share the job, where that changes."""
        self._is_ready: Callable[[], bool] = lambda: False
        self._was_ready = False
        self.heart = Heart()

    def mark_ready(self) -> None:
        """Say that the process does its job from now on."""
        self.ready_once(lambda: True)
        log.info("process_ready")

    def ready_once(self, is_ready: Callable[[], bool]) -> None:
        """Say that the process does its job from the first time on that `is_ready` says so: what
        goes away later is no fault of this process.
        """
        self._is_ready = is_ready

    def fail(self, error: BaseException) -> None:
        """Stop the process because a part of it died; the exit code will be 1."""
        self.failure = error
        self.stopping.set()

    @property
    def ready(self) -> bool:
        """True while the process does its job, until the beginning of the end."""
        self._was_ready = self._was_ready or self._is_ready()
        return self._was_ready and not self.stopping.is_set()


def run(
    name: str, settings: Settings, body: Callable[[Process, Settings], Awaitable[None]]
) -> None:
    """Run `body` as the process `name` until it returns or a signal asks it to stop."""
    observe(settings, name)
    spare_the_collector()
    uvloop.run(_run(name, settings, body))


def observe(settings: Settings, process: str) -> None:
    """Have the logs and the traces of this process go where the settings say.

    Raises `SystemExit` with the reason where traces are wanted and cannot be made.
    """
    configure_logs(settings, process)
    try:
        start_tracing(settings.tracing_endpoint, process)
    except TracingUnavailable as error:
        raise SystemExit(str(error)) from error


def spare_the_collector() -> None:
    """Take what the imports made out of the garbage collector's sight, and let it look less often.

    What an order allocates is freed by reference counts; looking for cycles among the modules costs
    a twentieth of the worker's processor time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


async def _run(
    name: str, settings: Settings, body: Callable[[Process, Settings], Awaitable[None]]
) -> None:
    process = Process(name)
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, process.stopping.set)
    async with _health(process, settings):
        await body(process, settings)
    log.info("process_stopped")
    if process.failure is not None:
        raise SystemExit(1)


class _HealthServer(uvicorn.Server):
    """uvicorn without its signal handlers: the signals belong to the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def _health(process: Process, settings: Settings) -> AsyncIterator[None]:
    async def livez(request: Request) -> JSONResponse:
        return _answer(process.heart.alive, process.name)

    async def readyz(request: Request) -> JSONResponse:
        role = None if process.role is None else process.role()
        return _answer(process.ready, process.name, role)

    async def metrics(request: Request) -> Response:
        return Response(await exposition(), media_type=CONTENT_TYPE)

    describe_process(process.name, settings.worker_build_id, lambda: process.ready)
    app = Starlette(
        routes=[
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
        ]
    )
    server = _HealthServer(
        uvicorn.Config(
            app,
            host=settings.health_host,
            port=settings.health_port,
            log_level="warning",
            lifespan="off",
        )
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve())
        beat = tasks.create_task(process.heart.beat())
        try:
            yield
        finally:
            server.should_exit = True
            beat.cancel()


def _answer(good: bool, process: str, role: str | None = None) -> JSONResponse:
    body = {"ok": good, "process": process} | ({} if role is None else {"role": role})
    return JSONResponse(body, status_code=200 if good else 503)
