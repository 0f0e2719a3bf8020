"""Who a request is from: a given token, or a development user whose token is fetched and kept."""

import hashlib
import os
import tempfile
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
import msgspec

from client._answers import problem_of, read
from client.models import Token

EXPIRY_MARGIN: Final = timedelta(minutes=1)
"""A token this close to its end is replaced, so that it does not end on its way."""


class BearerToken(httpx.Auth):
    """A token somebody else obtained."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the token."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class TokenCache:
    """Tokens kept between runs, one file each, readable by their owner only.

    A folder that cannot be written is no error: the token is then fetched anew each time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, base_url: str, user: str) -> str | None:
        """Return the token kept for `user` at `base_url` if it is not about to end."""
        try:
            kept = msgspec.json.decode(self._path(base_url, user).read_bytes(), type=Token)
        except (OSError, msgspec.DecodeError):
            return None
        if kept.expires_at is None or kept.expires_at - EXPIRY_MARGIN <= datetime.now(UTC):
            return None
        return kept.token

    def write(self, base_url: str, user: str, token: Token) -> None:
        """Keep a token that says when it ends; replaces an older one in one step."""
        if token.expires_at is None:
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder)  # made with mode 0600
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(token))
            Path(name).replace(self._path(base_url, user))
        except OSError:
            return

    def forget(self, base_url: str, user: str) -> None:
        """Drop the token kept for `user`, if there is one."""
        try:
            self._path(base_url, user).unlink(missing_ok=True)
        except OSError:
            return

    def _path(self, base_url: str, user: str) -> Path:
        # Hashed: neither an address nor a name from outside becomes part of a path.
        name = hashlib.sha256(f"{base_url}\n{user}".encode()).hexdigest()[:32]
        return self._folder / f"token-{name}.json"


class DevelopmentUser(httpx.Auth):
    """A user by name, at a server in development: fetches a token when there is none that works."""

    def __init__(
        self, base_url: str, user: str, cache: TokenCache, *, scope: str | None = None
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._body = {"user": user} | ({"scope": scope} if scope else {})
        # What is kept is one token of a user and scope: a name never holds a space.
        self._kept_as = f"{user} {scope}" if scope else user
        self._cache = cache

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send the kept token; without one, or if it is refused, fetch one first.

        Raises a Problem if the server gives no token.
        """
        kept = self._cache.read(self._base_url, self._kept_as)
        if kept is not None:
            request.headers["Authorization"] = f"Bearer {kept}"
            response = yield request
            if not await _is_of_an_earlier_server(response):
                return
            self._cache.forget(self._base_url, self._kept_as)
        answer = yield httpx.Request(
            "POST",
            f"{self._base_url}/dev/token",
            json=self._body,
            extensions=request.extensions,
        )
        await answer.aread()
        if not answer.is_success:
            problem = problem_of(answer)
            problem.may_have_arrived = False  # whatever became of this: the request was not sent
            raise problem
        token = read(answer, Token)
        self._cache.write(self._base_url, self._kept_as, token)
        request.headers["Authorization"] = f"Bearer {token.token}"
        yield request


async def _is_of_an_earlier_server(response: httpx.Response) -> bool:
    """Whether the server has begun anew: with another secret, or without the user's account.

    Asking for a token mends both, because the first token opens the account.
    """
    if response.status_code not in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return False
    await response.aread()
    return (
        response.status_code == httpx.codes.UNAUTHORIZED
        or problem_of(response).code == "no-account"
    )
