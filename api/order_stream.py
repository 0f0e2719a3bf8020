"""An order stream as an HTTP response: who may open one, from where it goes on, how it ends."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Final, cast

import structlog
from fastapi import Depends, Request
from sse_starlette.sse import EventSourceResponse, SendTimeoutError
from starlette.types import Receive, Scope, Send

from api.auth import User, current_user, identified, redeem
from api.errors import ProblemError, no_account
from api.node import NodeState
from api.stream_limits import StreamLimits
from streaming import order_event_metrics
from streaming.order_events import OrderStreams, UnknownUser, open_order_streams
from streaming.order_log import Terms

log = structlog.get_logger()

READS_SHARE: Final = 4
"""One in so many connections to Postgres may read for streams; the others stay free for orders."""
STALLED_SECONDS_MAX: Final = 30.0
"""A client that takes nothing for this long is gone, or as good as."""
GRACE_SECONDS: Final = 2.0
"""After the node's stop, for a stream whose client takes nothing; the others end at once."""


class OrderStreaming:
    """The order streams of this node, and how many of them it opens."""

    def __init__(self, node: NodeState) -> None:
        self._node = node
        self._streams: OrderStreams | None = None
        settings = node.settings
        self._limits = StreamLimits(
            streams_max=settings.order_streams_max,
            streams_per_user_max=settings.order_streams_per_user_max,
            openings_per_second_max=settings.order_stream_openings_per_second_max,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep what the streams share as long as the block; at its end they have ended."""
        node = self._node
        terms = Terms(reads_max=max(1, node.settings.database_pool_size // READS_SHARE))
        async with open_order_streams(
            lambda: node.pool, lambda: node.bus if node.has("bus") else None, node.stopping, terms
        ) as self._streams:
            yield

    async def response(self, user_id: str, after: int | None) -> EventSourceResponse:
        """The user's events after `after`, or from now on. Raises `ProblemError`, or
        `DatabaseUnavailable`.
        """
        if self._streams is None or self._node.stopping.is_set():
            raise ProblemError("shutting-down", "this node takes no new streams")
        try:
            self._limits.enter(user_id)
        except ProblemError as refusal:
            order_event_metrics.REFUSED.labels(refusal.code).inc()
            raise
        streams = self._streams
        try:
            stream = await streams.open(user_id, after)
        except BaseException as error:
            self._limits.leave(user_id)
            if isinstance(error, UnknownUser):
                raise no_account() from error
            raise

        def leave() -> None:
            streams.leave(stream)
            self._limits.leave(user_id)

        return OrderStreamResponse(stream.chunks(), leave)


class OrderStreamResponse(EventSourceResponse):
    """One stream, which tells its own heartbeats and ends by itself when the node stops; `leave` is
    called when it is over, whatever ended it.
    """

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        leave: Callable[[], None],
        stalled_seconds_max: float = STALLED_SECONDS_MAX,
    ) -> None:
        super().__init__(
            chunks, ping=0, send_timeout=stalled_seconds_max, shutdown_grace_period=GRACE_SECONDS
        )
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell it until it ends, the client goes, or the client takes nothing any more."""
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            log.info("stream_dropped", cause="stalled")
        finally:
            self._leave()


async def _order_streaming(request: Request) -> OrderStreaming:
    return cast(OrderStreaming, request.app.state.order_streaming)


async def stream_user(request: Request) -> User:
    if (ticket := request.query_params.get("ticket")) is not None:
        return identified(request, await redeem(request.app.state.bus, ticket))
    return await current_user(request)


Streaming = Annotated[OrderStreaming, Depends(_order_streaming)]
StreamUser = Annotated[User, Depends(stream_user)]
"""The user of a ticket, where there is one, else of the bearer token."""
