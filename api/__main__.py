"""`python -m api`: serve until SIGTERM, then end the streams, finish the requests, close."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import structlog
import uvicorn
import uvloop

from api.app import create_app
from api.listening import BACKLOG, Protocol, listen
from brokerage.runtime.logs import configure_logs
from brokerage.runtime.process import spare_the_collector
from brokerage.runtime.settings import Settings

log = structlog.get_logger()

GRACEFUL_SECONDS: Final = 8
"""An accepted placement takes at most two seconds for the claim, two for its workflow, two for the
row; what is still open after this is cut."""
KEEP_ALIVE_SECONDS: Final = 5


class Server(uvicorn.Server):
    """uvicorn that tells the streams to end: by itself it would wait for them for ever."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the end."""
        self._stopping.set()
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take signals in the loop, and do not raise them again at the end: the exit code is 0."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


def main() -> None:
    """Run the process."""
    settings = Settings()
    configure_logs(settings, "api")
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
    spare_the_collector()
    try:
        listener = listen(settings.api_host, settings.api_port)
    except OSError as error:
        raise SystemExit(f"{settings.api_host}:{settings.api_port}: {error}") from None
    uvloop.run(Server(config, app.state.stopping).serve(sockets=[listener]))
    log.info("process_stopped")


if __name__ == "__main__":
    main()
