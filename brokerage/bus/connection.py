"""One connection to NATS for a process, and the few ways it is used."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.js.client import JetStreamContext
from prometheus_client import Counter, Gauge

from brokerage.runtime.tasks import cancellation_kept
from brokerage.runtime.tracing import continued, outgoing

log = structlog.get_logger()

CONNECTED: Final = Gauge("sherwood_bus_connected", "1 while the link to NATS is up.")
DISCONNECTS: Final = Counter("sherwood_bus_disconnects", "Times the link to NATS was lost.")

PING_SECONDS: Final = 5
"""A dead link is noticed after two of these; the library's default is minutes."""
RECONNECT_SECONDS: Final = (0.2, 0.4)


class BusUnavailable(Exception):
    """Nobody answered on the bus in time, or there is no bus; what was asked may have happened."""


class NobodyListens(BusUnavailable):
    """No process serves the subject: the request certainly reached nobody."""


@contextmanager
def bus_errors(what: str) -> Iterator[None]:
    """Turn what the driver raises into `NobodyListens` or `BusUnavailable`, naming `what`."""
    try:
        yield
    except NoRespondersError as error:
        raise NobodyListens(what) from error
    except (NatsError, TimeoutError, OSError) as error:
        raise BusUnavailable(f"{what}: {error!r}") from error


class _Client(Client):
    """The driver's client; JetStream and key-value buckets ask through `request` too."""

    async def request(self, *arguments: Any, **options: Any) -> Msg:
        with cancellation_kept():
            return await super().request(*arguments, **options)

    async def flush(self, *arguments: Any, **options: Any) -> None:
        with cancellation_kept():
            await super().flush(*arguments, **options)


class Bus:
    """The process's NATS connection. `jetstream` is for the modules of this package."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.jetstream: JetStreamContext = client.jetstream()
        self._reconnected: list[Callable[[], Awaitable[None]]] = []
        self._back_at = float("-inf")

    @property
    def connected(self) -> bool:
        """True while the link is up."""
        return self.client.is_connected

    def has_settled(self, seconds: float) -> bool:
        """True unless the link was lost and came back less than `seconds` ago: the links of other
        processes may not be back yet then.
        """
        return time.monotonic() - self._back_at >= seconds

    def on_reconnect(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call `callback` after every reconnection: what came in between was missed."""
        self._reconnected.append(callback)

    def disconnected(self) -> None:
        """Note that the link is lost."""
        self._back_at = float("inf")

    async def reconnected(self) -> None:
        """Tell all who asked that the link is back; one that fails does not keep it from others."""
        self._back_at = time.monotonic()
        for callback in self._reconnected:
            try:
                await callback()
            except BusUnavailable as error:
                log.warning("bus_reconnect_callback_failed", error=str(error))

    async def publish(self, subject: str, payload: bytes) -> None:
        """Send without waiting for anybody to receive; raises `BusUnavailable` without a link."""
        with bus_errors(subject):
            await self.client.publish(subject, payload)

    async def notify(self, subject: str, payload: bytes) -> None:
        """Publish a hint: without a link it is lost, and nobody may depend on it."""
        try:
            await self.publish(subject, payload)
        except BusUnavailable as error:
            log.debug("notice_lost", subject=subject, error=str(error))

    async def request(self, subject: str, payload: bytes, timeout_seconds: float) -> bytes:
        """Ask whoever serves `subject`; raises `NobodyListens` or `BusUnavailable`."""
        with bus_errors(subject):
            async with asyncio.timeout(timeout_seconds + 0.5):
                reply = await self.client.request(
                    subject, payload, timeout=timeout_seconds, headers=outgoing()
                )
        return reply.data

    async def subscribe(
        self,
        subject: str,
        handle: Callable[[str, bytes], Awaitable[None]],
        queue: str = "",
    ) -> "BusSubscription":
        """Call `handle(subject, payload)` for each message; one subscription is one order."""

        async def deliver(message: Msg) -> None:
            await handle(message.subject, message.data)

        with bus_errors(subject):
            return BusSubscription(await self.client.subscribe(subject, queue=queue, cb=deliver))

    async def listen(self, subject: str, take: Callable[[bytes], None]) -> "BusSubscription":
        """Call `take(payload)` for each message. It must not wait: thousands come a second."""

        async def deliver(message: Msg) -> None:
            take(message.data)

        with bus_errors(subject):
            return BusSubscription(await self.client.subscribe(subject, cb=deliver))

    async def serve(
        self, subject: str, queue: str, handle: Callable[[bytes, "Respond"], None]
    ) -> "BusSubscription":
        """Answer requests on `subject` in turn with others of the same `queue`.

        `handle` must not wait: it takes the request and the function that answers it later, which
        raises `BusUnavailable` when there is nobody to answer any more.
        """

        async def deliver(message: Msg) -> None:
            async def respond(payload: bytes) -> None:
                with bus_errors(message.subject):
                    await message.respond(payload)

            with continued(lambda: message.headers):
                handle(message.data, respond)

        return BusSubscription(await self.client.subscribe(subject, queue=queue, cb=deliver))

    async def flush(self) -> None:
        """Return when the server has seen all that was sent before."""
        with bus_errors("flush"):
            # The driver's ping overtakes what it still buffers: the first gets that on its way.
            await self.client.flush(timeout=5)
            await self.client.flush(timeout=5)


Respond = Callable[[bytes], Awaitable[None]]


class BusSubscription:
    """A live subscription; `close` ends it."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription

    async def drain(self) -> None:
        """Stop hearing, after what has already arrived was handed over."""
        try:
            async with asyncio.timeout(2):
                await self._subscription.drain()  # type: ignore[no-untyped-call]
        except (NatsError, TimeoutError, ValueError, OSError) as error:
            log.debug("drain_after_close", error=repr(error))

    async def close(self) -> None:
        """Stop hearing; what is still in the buffer is dropped."""
        try:
            await self._subscription.unsubscribe()
        except (NatsError, ValueError) as error:
            log.debug("unsubscribe_after_close", error=str(error))


@asynccontextmanager
async def open_bus(url: str, name: str) -> AsyncIterator[Bus]:
    """Connect as `name`, waiting for the server if it is not there yet; close on the way out.

    The link is repaired for ever: a NATS that was away for an hour is found again.
    """
    bus: Bus | None = None

    async def reconnected() -> None:
        log.warning("bus_reconnected")
        if bus is not None:
            await bus.reconnected()

    async def disconnected() -> None:
        log.warning("bus_disconnected")
        DISCONNECTS.inc()
        if bus is not None:
            bus.disconnected()

    async def failed(error: Exception) -> None:
        log.warning("bus_error", error=repr(error))

    client = _Client()
    await client.connect(
        url,
        name=name,
        allow_reconnect=True,
        max_reconnect_attempts=-1,
        # Of all clients that lost the same server, each has a pause of its own.
        reconnect_time_wait=random.uniform(*RECONNECT_SECONDS),  # type: ignore[arg-type] # it is slept for, fractions too
        ping_interval=PING_SECONDS,
        max_outstanding_pings=2,
        reconnected_cb=reconnected,
        disconnected_cb=disconnected,
        error_cb=failed,
    )
    bus = Bus(client)
    CONNECTED.set_function(lambda: client.is_connected)
    try:
        yield bus
    finally:
        try:
            await asyncio.wait_for(client.drain(), timeout=3)
        except Exception as error:  # noqa: BLE001 - the end must not fail because NATS is away
            log.warning("bus_drain_failed", error=repr(error))
            with suppress(NatsError, OSError):
                await client.close()
