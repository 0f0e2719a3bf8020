"""Users of the API, each with a token of its own."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import httpx

from tests.support.eventually import PAUSE_SECONDS, eventually
from tests.support.problem_codes import check_documented

PATIENCE_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Account:
    """A development user and an HTTP client that speaks for it."""

    user: str
    token: str
    http: httpx.AsyncClient


async def fetch_token(
    api_url: str, user: str, scope: str | None = None, *, within_seconds: float = 30.0
) -> str:
    """Return a fresh development token for `user`, once the node can give one."""
    body = {"user": user} | ({"scope": scope} if scope else {})
    async with httpx.AsyncClient(base_url=api_url, trust_env=False, timeout=30.0) as http:

        async def attempt() -> str:
            answer = await http.post("/dev/token", json=body)
            assert answer.is_success, answer.text
            token = answer.json()["token"]
            assert isinstance(token, str)
            return token

        token: str = await eventually(attempt, f"{user} has a token", within_seconds)
        return token


class PatientTransport(httpx.AsyncHTTPTransport):
    """Asks again, for up to a minute, what only reads and was answered with 503."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = await super().handle_async_request(request)
            is_late = time.monotonic() > deadline
            if request.method != "GET" or answer.status_code != 503 or is_late:
                return answer
            await answer.aread()
            await asyncio.sleep(PAUSE_SECONDS)


@asynccontextmanager
async def account(
    api_url: str, user: str | None = None, scope: str | None = None, *, patient: bool = False
) -> AsyncIterator[Account]:
    """Open an account; a new user, unless one is named.

    Its client waits up to 30 s, and takes no problem that the route does not document. `patient`:
    where no part is away, it asks again what a busy machine could not read in time.
    """
    name = user or f"user-{uuid4().hex[:12]}"
    token = await fetch_token(api_url, name, scope)
    headers = {"Authorization": f"Bearer {token}"}
    # A node closes what was idle for five seconds: a request must not meet that.
    limits = httpx.Limits(keepalive_expiry=2.0)
    async with httpx.AsyncClient(
        base_url=api_url,
        headers=headers,
        trust_env=False,
        timeout=30.0,
        limits=limits,
        transport=PatientTransport(limits=limits) if patient else None,
        event_hooks={"response": [check_documented]},
    ) as http:
        yield Account(name, token, http)
