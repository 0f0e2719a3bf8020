"""`python -m api`: serve until SIGTERM, then be unready, end streams, finish requests, close."""

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
from api.node import NodeState
from brokerage.runtime.metrics import export_too
from brokerage.runtime.process import observe, spare_the_collector
from brokerage.runtime.settings import Settings
from workflows.sdk_metrics import count_sdk

log = structlog.get_logger()

GRACEFUL_SECONDS: Final = 8
"""An accepted placement takes at most two seconds for the claim, two for its workflow, two for the
row; what is still open after this is cut."""
KEEP_ALIVE_SECONDS: Final = 5


class Server(uvicorn.Server):
    """uvicorn that is unready before it leaves, and then tells the streams to end: by itself it
    would wait for them for ever.
    """

    def __init__(self, config: uvicorn.Config, node: NodeState) -> None:
        super().__init__(config)
        self._node = node
        self._leaving: asyncio.TimerHandle | None = None
        node.on_failure = lambda: self.handle_exit(signal.SIGTERM, None)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the end. Who says it twice does not want to wait for load balancers."""
        self._node.draining = True
        if self._leaving is None:
            seconds = self._node.settings.drain_seconds
            loop = asyncio.get_running_loop()
            self._leaving = loop.call_later(seconds, self._leave, sig, frame)
        else:
            self._leaving.cancel()
            self._leave(sig, frame)

    def _leave(self, sig: int, frame: FrameType | None) -> None:
        self._node.stopping.set()
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
    observe(settings, "api")
    export_too(count_sdk())
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
    node = app.state
    assert isinstance(node, NodeState)
    uvloop.run(Server(config, node).serve(sockets=[listener]))
    log.info("process_stopped")
    if node.failure is not None:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
