"""The exchange as a process: opens the journal, serves, ticks, and closes everything in order."""

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import time as time_of_day
from typing import Final

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from exchange.connections import Connections, counting_protocol
from exchange.desk import Desk, Refused, answer
from exchange.faults import FaultRules
from exchange.feed_faults import FeedFaults
from exchange.hub import Hub
from exchange.journal import Journal, fold_log_of
from exchange.opening import open_engine
from exchange.plans import Plans
from exchange.protocol import HEARTBEAT_SECONDS
from exchange.replay_log import ReplayLog
from exchange.routes.control import control_routes
from exchange.routes.feed import feed_routes
from exchange.routes.operations import operation_routes
from exchange.routes.orders import order_routes
from exchange.routes.queries import query_routes
from exchange.routes.statements import statement_routes
from exchange.settings import Settings
from exchange.venue import Venue

log = structlog.get_logger()

_FOLD_SECONDS: Final = 30.0
_MEMBER_MAX: Final = 1_000
_SHUTDOWN_SECONDS: Final = 3
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Server(uvicorn.Server):
    """uvicorn that ends by returning, and tells the feeds first."""

    def __init__(self, config: uvicorn.Config, on_exit: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_exit = on_exit

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal; not raise it once more afterwards, an orderly stop is a success."""
        loop = asyncio.get_running_loop()
        for one in _SIGNALS:
            loop.add_signal_handler(one, self.stop)
        try:
            yield
        finally:
            for one in _SIGNALS:
                loop.remove_signal_handler(one)

    def stop(self) -> None:
        """End the process in order; when asked twice, at once."""
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True
        self._on_exit()


def create_app(desk: Desk) -> FastAPI:
    """Return the application over the parts of an exchange."""
    app = FastAPI(title="Simulated exchange", version="1", redoc_url=None)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        response = answer(error.problem, error.problem.status)
        response.headers["content-type"] = "application/problem+json"
        return response

    app.add_exception_handler(Refused, refused)
    app.include_router(order_routes(desk))
    app.include_router(query_routes(desk))
    app.include_router(statement_routes(desk))
    app.include_router(feed_routes(desk))
    app.include_router(operation_routes(desk))
    if desk.settings.control:
        app.include_router(control_routes(desk))
    return app


def run(settings: Settings) -> int:
    """Run an exchange until it is told to stop; return the exit code.

    Raises:
        JournalError: the journal cannot be gone on with.
    """
    _configure_log(settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve(settings))


async def serve(settings: Settings) -> int:
    """Open everything, serve, close everything; return the exit code."""
    journal = Journal(settings.journal, sync=settings.journal_sync)
    try:
        engine, listed = open_engine(settings, journal)
        connections = Connections(_MEMBER_MAX)
        replay_log = ReplayLog(engine.floor.trade_seq, settings.replay_bytes_max)
        faults = FeedFaults(settings.seed)
        hub = Hub(replay_log, faults, backlog_bytes_max=settings.feed_backlog_bytes_max)
        has_failed = asyncio.Event()

        def fail() -> None:
            has_failed.set()
            server.stop()

        venue = Venue(
            engine,
            journal,
            hub,
            speed=settings.speed,
            sessions="regular" if settings.sessions else "off",
            day_end=time_of_day.fromisoformat(settings.day_end),
            at_ms=journal.market()[1],
            failed=fail,
        )
        rules = FaultRules(settings.seed)
        plans = Plans(venue, rules)
        session = engine.registry.session
        desk = Desk(settings, venue, hub, rules, plans, connections, listed, session)

        def leave() -> None:
            desk.stopping.set()
            hub.close()

        server = Server(_config(settings, create_app(desk), connections), leave)
        async with asyncio.TaskGroup() as tasks:
            # The first tick comes before the first request: every symbol has its opening print.
            venue.tick(0.0)
            background = [
                tasks.create_task(_tick(venue, settings.tick_ms / 1000)),
                tasks.create_task(_beat(venue)),
                tasks.create_task(_fold(journal)),
                tasks.create_task(plans.run()),
            ]
            log.info("exchange_starts", host=settings.host, port=settings.port, session=session)
            await server.serve()
            for task in background:
                task.cancel()
        venue.stop()
        log.info("exchange_stopped", position=engine.market.position)
        return 1 if has_failed.is_set() else 0
    finally:
        journal.close()


def _config(settings: Settings, app: FastAPI, connections: Connections) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=counting_protocol(connections),
        ws="websockets-sansio",
        ws_max_size=65_536,
        ws_per_message_deflate=False,
        # Silence is one of the faults on offer: pings of our own would hide it.
        ws_ping_interval=None,
        lifespan="off",
        access_log=False,
        log_config=None,
        limit_concurrency=settings.connection_max,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        server_header=False,
    )


async def _tick(venue: Venue, seconds: float) -> None:
    """Let the market go on, `seconds` apart."""
    before = time.monotonic()
    while True:
        # Without a bound, the pause is only there to let requests in.
        await asyncio.sleep(0.001 if venue.speed == float("inf") else seconds)
        now = time.monotonic()
        venue.tick(now - before)
        before = now


async def _beat(venue: Venue) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        venue.beat()


async def _fold(journal: Journal) -> None:
    """Keep the write-ahead log small. Its flushes happen in a thread, away from requests."""
    while True:
        await asyncio.sleep(_FOLD_SECONDS)
        await asyncio.to_thread(fold_log_of, journal.path)
        journal.fold_log()


def _configure_log(level: str) -> None:
    number = getattr(logging, level.upper())
    logging.basicConfig(level=max(number, logging.WARNING), stream=sys.stderr, format="%(message)s")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
