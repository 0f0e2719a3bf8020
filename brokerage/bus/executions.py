"""The reader's side of `EXECUTIONS`: take reports, hold them, park them, bury them.

A report in hand is one of two kinds: fetched from the stream (acknowledged when it is settled), or
read from the parking stream (deleted from it when it is settled). `Delivery` hides which.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, RawStreamMsg
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from brokerage.bus.connection import Bus, BusUnavailable, bus_errors
from brokerage.bus.streams import delete_message
from brokerage.contracts.subjects import (
    DEAD_STREAM,
    EXECUTIONS_STREAM,
    PARKED_STREAM,
    dead_subject,
    parked_subject,
)

log = structlog.get_logger()

CONSUMER: Final = "executions"
ACK_WAIT_SECONDS: Final = 10.0
"""A report that nobody spoke up for this long is given to another process."""
SETTLED_KEPT: Final = 10_000
"""Settled reports that stay, for looking back; the feed finds its place by the newest 256."""
PENDING_MAX: Final = 2_000
"""Reports in all processes' hands together."""
FETCH_SECONDS: Final = 1.0
MESSAGE_ID_HEADER: Final = "Nats-Msg-Id"
PARKED_AT_HEADER: Final = "Sherwood-Parked-At"
REASON_HEADER: Final = "Sherwood-Reason"
ORIGIN_HEADER: Final = "Sherwood-Subject"


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """One report in hand. `parked_at` is when it was parked (seconds since the epoch), or None.

    `settle` gives it up for good, `keep` says that work on it goes on, `release` hands it back at
    once; each raises `BusUnavailable`, after which the report may be delivered again.
    """

    external_order_id: str
    subject: str
    payload: bytes
    message_id: str
    parked_at: float | None
    settle: Callable[[], Awaitable[None]]
    keep: Callable[[], Awaitable[None]]
    release: Callable[[], Awaitable[None]]


class ExecutionReader:
    """Fetches from the durable consumer that all executions processes share.

    `waiting` is how many reports nobody had fetched yet at the last fetch.
    """

    def __init__(self, bus: Bus) -> None:
        self.waiting = 0
        self._bus = bus
        self._subscription: JetStreamContext.PullSubscription | None = None

    async def fetch(self, deliveries_max: int) -> list[Delivery]:
        """Wait up to `FETCH_SECONDS` for reports; none is an empty list.

        Raises `BusUnavailable`; the next call then starts with a new subscription, because one that
        saw its server go has been seen to stay silent for good.
        """
        try:
            with bus_errors("fetch executions"):
                subscription = self._subscription
                if subscription is None:
                    subscription = self._subscription = await self._subscribe()
                messages = await self._fetched(subscription, deliveries_max)
                self.waiting = messages[-1].metadata.num_pending if messages else 0
        except BusUnavailable:
            await self.close()
            raise
        return [_fetched(message) for message in messages]

    async def close(self) -> None:
        """End the subscription; what was fetched stays in hand."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            try:
                with bus_errors("unsubscribe"):
                    await subscription.unsubscribe()
            except (BusUnavailable, ValueError) as error:
                log.debug("unsubscribe_failed", error=str(error))

    async def _fetched(
        self, subscription: JetStreamContext.PullSubscription, deliveries_max: int
    ) -> list[Msg]:
        try:
            async with asyncio.timeout(FETCH_SECONDS + 2):
                return await subscription.fetch(deliveries_max, timeout=FETCH_SECONDS)
        except TimeoutError:
            if not self._bus.connected:
                raise
            return []

    async def _subscribe(self) -> JetStreamContext.PullSubscription:
        await self._bus.jetstream.add_consumer(
            EXECUTIONS_STREAM,
            ConsumerConfig(
                name=CONSUMER,
                durable_name=CONSUMER,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=ACK_WAIT_SECONDS,
                max_ack_pending=PENDING_MAX,
                max_deliver=-1,
            ),
        )
        return await self._bus.jetstream.pull_subscribe_bind(CONSUMER, EXECUTIONS_STREAM)


async def discard_settled(bus: Bus, kept: int = SETTLED_KEPT) -> None:
    """Take out of the stream what every process has settled, but for the newest `kept` messages.

    A stream that is full refuses new reports, so it must not keep what nobody needs. Raises
    `BusUnavailable`; safe to repeat, also by several processes at once.
    """
    with bus_errors("discard settled reports"):
        consumer = await bus.jetstream.consumer_info(EXECUTIONS_STREAM, CONSUMER)
        floor = consumer.ack_floor.stream_seq if consumer.ack_floor else 0
        first_kept = floor - kept + 1
        if first_kept <= 1:
            return
        await bus.jetstream.purge_stream(EXECUTIONS_STREAM, seq=first_kept)


class Parking:
    """Reports whose order is not known yet, by the exchange's order id; and those of nobody."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def park(self, delivery: Delivery) -> None:
        """Store it in the parking stream; the caller settles the original. Safe to repeat."""
        await self._publish(
            PARKED_STREAM,
            parked_subject(delivery.external_order_id),
            delivery,
            {PARKED_AT_HEADER: f"{time.time():.3f}", ORIGIN_HEADER: delivery.subject},
        )

    async def bury(self, delivery: Delivery, reason: str) -> None:
        """Store it as a dead letter; the caller settles the original. Safe to repeat."""
        await self._publish(
            DEAD_STREAM,
            dead_subject(delivery.external_order_id),
            delivery,
            {REASON_HEADER: reason, ORIGIN_HEADER: delivery.subject},
        )

    async def external_order_ids(self) -> list[str]:
        """The orders for which something is parked."""
        with bus_errors("parked orders"):
            info = await self._bus.jetstream.stream_info(
                PARKED_STREAM, subjects_filter=parked_subject(">")
            )
        return [subject.partition(".")[2] for subject in info.state.subjects or {}]

    async def buried(self) -> int:
        """How many dead letters wait for an operator."""
        with bus_errors("dead letters"):
            return (await self._bus.jetstream.stream_info(DEAD_STREAM)).state.messages

    async def of(self, external_order_id: str, deliveries_max: int) -> list[Delivery]:
        """What is parked for one order, oldest first."""
        found: list[Delivery] = []
        next_sequence = 1
        while len(found) < deliveries_max:
            try:
                with bus_errors("parked reports"):
                    message = await self._bus.jetstream.get_msg(
                        PARKED_STREAM,
                        seq=next_sequence,
                        subject=parked_subject(external_order_id),
                        next=True,
                    )
            except BusUnavailable as error:
                if isinstance(error.__cause__, NotFoundError):
                    break
                raise
            found.append(self._parked(external_order_id, message))
            next_sequence = (message.seq or 0) + 1
        return found

    def _parked(self, external_order_id: str, message: RawStreamMsg) -> Delivery:
        headers = message.headers or {}
        sequence = message.seq or 0

        return Delivery(
            external_order_id=external_order_id,
            subject=headers.get(ORIGIN_HEADER, message.subject or ""),
            payload=message.data or b"",
            message_id=headers.get(MESSAGE_ID_HEADER, f"parked:{sequence}"),
            parked_at=float(headers.get(PARKED_AT_HEADER, "0")),
            # Another process that released the same report may have deleted it.
            settle=partial(delete_message, self._bus, PARKED_STREAM, sequence),
            keep=_nothing,
            release=_nothing,
        )

    async def _publish(
        self, stream: str, subject: str, delivery: Delivery, headers: dict[str, str]
    ) -> None:
        with bus_errors(subject):
            await self._bus.jetstream.publish(
                subject,
                delivery.payload,
                timeout=2,
                stream=stream,
                headers={MESSAGE_ID_HEADER: delivery.message_id, **headers},
            )


async def _nothing() -> None:
    """A parked report stays where it is without anybody's help."""


def _fetched(message: Msg) -> Delivery:
    def telling(tell: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        async def told() -> None:
            with bus_errors("acknowledge"):
                await tell()

        return told

    sequence = message.metadata.sequence.stream
    return Delivery(
        external_order_id=message.subject.rpartition(".")[2],
        subject=message.subject,
        payload=message.data,
        message_id=(message.headers or {}).get(MESSAGE_ID_HEADER, f"executions:{sequence}"),
        parked_at=None,
        settle=telling(message.ack),
        keep=telling(message.in_progress),
        release=telling(message.nak),
    )
