"""Requests sent until answered: repeated within bounds, with what an attempt may have done known.

Every request of this client may be repeated: reads by nature, a cancel by the interface's promise,
a placement because it carries its idempotency key.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from client._answers import problem_of
from client.errors import ServerFailed, SherwoodError, Unavailable, Unreachable
from client.retry import Retry, RetryPolicy

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_NEVER_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


class Transport:
    """One connection pool to one Sherwood; close it with `aclose`.

    `on_retry` is told of every attempt that will be followed by another.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: httpx.Auth | None,
        policy: RetryPolicy,
        on_retry: Callable[[Retry], None] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        http_transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.sleep = sleep
        self._policy = policy
        self._on_retry = on_retry
        self._http = httpx.AsyncClient(
            base_url=self.base_url,
            auth=auth,
            headers={"Accept": "application/json"},
            timeout=httpx.Timeout(
                policy.attempt_timeout_seconds, connect=policy.connect_timeout_seconds
            ),
            # A proxy of the environment's cannot know what this machine calls itself.
            trust_env=httpx.URL(base_url).host not in _LOOPBACK,
            transport=http_transport,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Return the first success among at most `attempts_max` attempts.

        Raises the SherwoodError of the last attempt, its `may_have_arrived` true if that holds for
        any of them.
        """
        deadline = time.monotonic() + self._policy.total_timeout_seconds
        may_have_arrived = False
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._attempt(
                    deadline, method, path, json=json, params=params, headers=headers
                )
            except SherwoodError as error:
                may_have_arrived = error.may_have_arrived = (
                    may_have_arrived or error.may_have_arrived
                )
                delay_seconds = self._delay_seconds(error, attempt)
                if delay_seconds is None or time.monotonic() + delay_seconds >= deadline:
                    raise
                if self._on_retry is not None:
                    self._on_retry(
                        Retry(attempt, self._policy.attempts_max, delay_seconds, str(error))
                    )
            await self.sleep(delay_seconds)

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, json: Any = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """Open a response whose body is read as it comes; one attempt, no deadline on its length.

        Raises a SherwoodError if it is not a success, also for a connection lost inside the block.
        """
        timeout = httpx.Timeout(
            self._policy.attempt_timeout_seconds,
            connect=self._policy.connect_timeout_seconds,
            read=None,  # the reader of the stream knows how often a heartbeat is due
        )
        request = self._http.build_request(
            method,
            path,
            json=json,
            timeout=timeout,
            headers={"Accept": "text/event-stream", **(headers or {})},
        )
        try:
            async with asyncio.timeout(self._policy.attempt_timeout_seconds):
                response = await self._http.send(request, stream=True)
            try:
                if not response.is_success:
                    async with asyncio.timeout(self._policy.attempt_timeout_seconds):
                        await response.aread()
                    raise problem_of(response)
                yield response
            finally:
                await response.aclose()
        except (httpx.RequestError, TimeoutError) as error:
            raise Unreachable(self._describe(error)) from error

    async def _attempt(
        self, deadline: float, method: str, path: str, **body: Any
    ) -> httpx.Response:
        limit_seconds = min(self._policy.attempt_timeout_seconds, deadline - time.monotonic())
        try:
            # httpx bounds each read; a server that trickles bytes is bounded by this.
            async with asyncio.timeout(max(0.0, limit_seconds)):
                response = await self._http.request(method, path, **body)
        except _NEVER_SENT as error:
            raise Unreachable(self._describe(error)) from error
        except (httpx.RequestError, TimeoutError) as error:
            unreachable = Unreachable(self._describe(error))
            unreachable.may_have_arrived = True
            raise unreachable from error
        if not response.is_success:
            raise problem_of(response)
        return response

    def _delay_seconds(self, error: SherwoodError, attempt: int) -> float | None:
        """Return how long to wait before the next attempt, or None if there shall be none."""
        passes = isinstance(error, Unreachable | Unavailable | ServerFailed) and error.retryable
        if not passes or attempt >= self._policy.attempts_max:
            return None
        return max(self._policy.backoff.delay_seconds(attempt), error.retry_after_seconds or 0.0)

    def _describe(self, error: Exception) -> str:
        reason = str(error) or (
            "no answer in time"
            if isinstance(error, TimeoutError | httpx.TimeoutException)
            else type(error).__name__
        )
        return f"{self.base_url}: {reason}"
