"""The application: routes, errors, the frame around every request, and what it holds open."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from api.auth import TokenVerifier
from api.errors import install_error_handlers
from api.frame import Frame
from api.node import NodeState, open_node
from api.routes import account, dev, health, orders, prices, streams
from brokerage.runtime.settings import Settings

DESCRIPTION = (
    "Orders, live prices and portfolios. Money is whole cents, shares are whole shares, times are "
    "RFC 3339 in UTC. Every error is `application/problem+json` with a stable `code`."
)


def create_app(settings: Settings) -> FastAPI:
    """The application; it connects to nothing before its lifespan starts.

    Raises ValueError when the settings hold no key to check tokens with.
    """
    state = NodeState()
    state.settings = settings
    state.verifier = TokenVerifier(settings)
    state.stopping = asyncio.Event()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_node(state):
            yield

    app = FastAPI(
        title="Sherwood",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        # A redirect would answer a POST with 307 and hide the caller's slip.
        redirect_slashes=False,
    )
    app.state = state
    app.add_middleware(Frame)
    install_error_handlers(app)
    app.include_router(orders.router)
    app.include_router(account.router)
    app.include_router(prices.router)
    app.include_router(streams.router)
    app.include_router(health.router)
    if settings.environment == "development":
        app.include_router(dev.router)
    return app
