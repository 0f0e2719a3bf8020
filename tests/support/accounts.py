"""Users of the API, each with a token of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import httpx

from tests.support.problem_codes import check_documented


@dataclass(frozen=True)
class Account:
    """A development user and an HTTP client that speaks for it."""

    user: str
    token: str
    http: httpx.AsyncClient


async def fetch_token(api_url: str, user: str, scope: str | None = None) -> str:
    """Return a fresh development token for `user`."""
    body = {"user": user} | ({"scope": scope} if scope else {})
    async with httpx.AsyncClient(base_url=api_url, trust_env=False) as http:
        answer = await http.post("/dev/token", json=body)
    assert answer.is_success, answer.text
    token = answer.json()["token"]
    assert isinstance(token, str)
    return token


@asynccontextmanager
async def account(
    api_url: str, user: str | None = None, scope: str | None = None
) -> AsyncIterator[Account]:
    """Open an account; a new user, unless one is named.

    Its client waits up to 30 s, and takes no problem that the route does not document.
    """
    name = user or f"user-{uuid4().hex[:12]}"
    token = await fetch_token(api_url, name, scope)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        base_url=api_url,
        headers=headers,
        trust_env=False,
        timeout=30.0,
        # A node closes what was idle for five seconds: a request must not meet that.
        limits=httpx.Limits(keepalive_expiry=2.0),
        event_hooks={"response": [check_documented]},
    ) as http:
        yield Account(name, token, http)
