"""The application: routes, errors, the frame around every request, and what it holds open."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from api import asyncapi, openapi, prices_stream, simulating
from api.auth import TokenVerifier
from api.errors import install_error_handlers
from api.frame import Frame
from api.node import NodeState, open_node
from api.order_rates import OrderRates
from api.order_stream import OrderStreaming
from api.routes import (
    account,
    cancel_after,
    clock,
    dev,
    executions,
    health,
    history,
    ops,
    ops_books,
    ops_dead_letters,
    ops_doctor,
    ops_kill_switch,
    ops_orders,
    ops_risk,
    order_events,
    order_trail,
    orders,
    page,
    preview,
    prices,
    reconciliation,
    streams,
    why,
)
from api.turns import Turns
from api.waits import Waits
from brokerage.runtime.heart import Heart
from brokerage.runtime.settings import Settings


class Application(FastAPI):
    """FastAPI for everything but the price streams, which are served before it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http" and scope["path"] == prices_stream.PATH:
            await self.state.streams(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The description of every route, that of the streams included."""
        if self.openapi_schema is None:
            document = super().openapi()
            document["paths"][prices_stream.PATH] = prices_stream.documented()
            if self.state.settings.environment == "development":
                simulating.document(document)
            openapi.complete(document, self.routes)
        return super().openapi()


def create_app(settings: Settings) -> FastAPI:
    """The application; it connects to nothing before its lifespan starts.

    Raises ValueError when the settings hold no key to check tokens with.
    """
    state = NodeState()
    state.settings = settings
    state.verifier = TokenVerifier(settings)
    state.draining = False
    state.stopping = asyncio.Event()
    state.heart = Heart()
    state.failure = None
    state.on_failure = lambda: None
    state.order_rates = OrderRates()
    state.waits = Waits()
    state.claim_turns = Turns()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_node(state), state.order_streaming.running():
            yield

    state.streams = prices_stream.PriceStreams(state)
    state.order_streaming = OrderStreaming(state)
    app = Application(
        title="Sherwood",
        version="1",
        description=openapi.DESCRIPTION,
        license_info={"name": "Apache 2.0", "identifier": "Apache-2.0"},
        servers=openapi.SERVERS,
        openapi_tags=openapi.TAGS,
        generate_unique_id_function=openapi.operation_id,
        lifespan=lifespan,
        # Served by `api.routes.page`: the framework's page loads its scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        # A redirect would answer a POST with 307 and hide the caller's slip.
        redirect_slashes=False,
        # Its own spans have each query in them, tickets too. Ours are made by `Frame`.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state = state
    app.add_middleware(Frame, order_rates=state.order_rates)
    install_error_handlers(app)
    app.include_router(orders.router)
    app.include_router(cancel_after.router)
    app.include_router(preview.router)
    app.include_router(order_events.router)
    app.include_router(order_trail.router)
    app.include_router(why.router)
    app.include_router(executions.router)
    app.include_router(account.router)
    app.include_router(prices.router)
    app.include_router(clock.router)
    app.include_router(streams.router)
    app.include_router(history.router)
    app.include_router(ops.router)
    app.include_router(ops_books.router)
    app.include_router(ops_orders.router)
    app.include_router(ops_risk.router)
    app.include_router(ops_dead_letters.router)
    app.include_router(ops_doctor.router)
    app.include_router(ops_kill_switch.router)
    app.include_router(reconciliation.router)
    app.include_router(health.router)
    app.include_router(page.router)
    if settings.environment == "development":
        app.include_router(dev.router)

    @app.get("/asyncapi.json", include_in_schema=False)
    def read_asyncapi() -> dict[str, Any]:
        return asyncapi.document()

    return app
