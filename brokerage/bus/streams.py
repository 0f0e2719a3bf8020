"""The streams and the buckets on the bus: what each keeps, how much of it, for how long."""

import re
from typing import Final

import structlog
from nats.js.api import DiscardPolicy, KeyValueConfig, StorageType, StreamConfig
from nats.js.errors import BadRequestError

from brokerage.bus.connection import Bus, BusUnavailable, bus_errors
from brokerage.contracts.subjects import (
    DEAD_STREAM,
    EXECUTIONS_STREAM,
    MARKET_BUCKET,
    PARKED_STREAM,
    PRICES_STREAM,
    TICKETS_BUCKET,
)

log = structlog.get_logger()

MEBIBYTE: Final = 1024 * 1024
DUPLICATE_WINDOW_SECONDS: Final = 600.0
"""A report sent twice within it is stored once; later repeats are the consumer's to recognise."""
SAME_NAME_OTHER_CONFIG: Final = 10058
MESSAGE_GONE: Final = re.compile(r"no message found|sequence \d+ not found")


def _durable(name: str, subject: str, max_mebibytes: int) -> StreamConfig:
    """A stream of reports on disk. Full, it must refuse, so that its writer waits: making room
    would drop money. No age either: a report leaves when it is settled, never before.
    """
    return StreamConfig(
        name=name,
        subjects=[subject],
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        max_bytes=max_mebibytes * MEBIBYTE,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
        allow_direct=True,
    )


TICKET_SECONDS: Final = 10
"""A page asks for a ticket and opens its stream with it at once; what is older was not used."""
TICKETS: Final = StreamConfig(
    # As the library would make a bucket; from here it is also changed where it is another one.
    name=f"KV_{TICKETS_BUCKET}",
    subjects=[f"$KV.{TICKETS_BUCKET}.>"],
    storage=StorageType.MEMORY,
    max_age=TICKET_SECONDS,
    duplicate_window=TICKET_SECONDS,
    max_msgs_per_subject=1,
    max_bytes=64 * MEBIBYTE,
    # 400,000 tickets. Full, it refuses: making room would take one that is about to be used.
    discard=DiscardPolicy.NEW,
    # A copy could still have what was used already, or not yet have what was just given out.
    allow_direct=False,
)

STREAMS: Final = (
    StreamConfig(
        name=PRICES_STREAM,
        subjects=["prices.*"],
        storage=StorageType.MEMORY,
        max_msgs_per_subject=1,
        max_bytes=64 * MEBIBYTE,
        allow_direct=True,
    ),
    TICKETS,
    _durable(EXECUTIONS_STREAM, "executions.>", 1024),
    _durable(PARKED_STREAM, "parked.>", 128),
    _durable(DEAD_STREAM, "dead.>", 128),
)


async def ensure_streams(bus: Bus) -> None:
    """Make what is missing, change what is configured otherwise; safe to repeat, also at once.

    Raises `BusUnavailable` when JetStream does not answer or refuses.
    """
    for config in STREAMS:
        await ensure_stream(bus, config)
    with bus_errors(f"bucket {MARKET_BUCKET}"):
        await bus.jetstream.create_key_value(
            KeyValueConfig(bucket=MARKET_BUCKET, history=1, max_bytes=16 * MEBIBYTE, direct=True)
        )


async def delete_message(bus: Bus, stream: str, sequence: int) -> None:
    """Delete one message; one that is gone already stays gone. Raises `BusUnavailable`."""
    try:
        with bus_errors(f"remove from {stream}"):
            await bus.jetstream.delete_msg(stream, sequence)
    except BusUnavailable as error:
        # The server says so under several codes, of which one stands for any failure of its own
        # (500): only its words tell.
        if not MESSAGE_GONE.search(getattr(error.__cause__, "description", None) or ""):
            raise


async def ensure_stream(bus: Bus, config: StreamConfig) -> None:
    """The same for one stream."""
    with bus_errors(f"stream {config.name}"):
        try:
            await bus.jetstream.add_stream(config)
        except BadRequestError as error:
            if error.err_code != SAME_NAME_OTHER_CONFIG:
                raise
            await bus.jetstream.update_stream(config)
            log.info("stream_changed", stream=config.name)
