"""NATS as `sherwood doctor` sees it: there, with our streams, and losing nothing."""

import asyncio
import json
from typing import Final
from urllib.request import ProxyHandler, build_opener

from brokerage.bus.connection import Bus, BusUnavailable, bus_errors, open_bus
from brokerage.bus.streams import STREAMS
from brokerage.contracts.findings import Finding, unknown, well, wrong
from brokerage.contracts.subjects import (
    KILL_SWITCH_BUCKET,
    LEASES_BUCKET,
    MARKET_BUCKET,
)

TIMEOUT_SECONDS: Final = 5.0
BUCKETS: Final = (KILL_SWITCH_BUCKET, LEASES_BUCKET, MARKET_BUCKET)
"""Those that are there before the first order: the gateway makes its own with it."""
EXPECTED: Final = frozenset(
    {*(str(config.name) for config in STREAMS), *(f"KV_{bucket}" for bucket in BUCKETS)}
)
FLUSH: Final = "set `jetstream { sync_interval: always }` at every server and restart one by one"


async def examine_nats(url: str, monitor_url: str | None) -> list[Finding]:
    """Look at NATS through a connection of its own, and at its monitor if there is one."""
    findings = [await _flushing(monitor_url)]
    try:
        with bus_errors("connect"):
            async with asyncio.timeout(TIMEOUT_SECONDS), open_bus(url, "doctor") as bus:
                server = bus.client.connected_server_version
                version = f"NATS {server.major}.{server.minor}.{server.patch}"
                return [well("nats-reachable", version), await _streams(bus), *findings]
    except BusUnavailable as error:
        mend = "start NATS, or correct SHERWOOD_NATS_URL; every process finds it again by itself"
        return [wrong("nats-reachable", f"no answer: {error}", mend), *findings]


async def _streams(bus: Bus) -> Finding:
    try:
        with bus_errors("streams"):
            there = {str(one.config.name) for one in await bus.jetstream.streams_info()}
    except BusUnavailable as error:
        mend = "start NATS with JetStream (`--jetstream`, or a `jetstream` block)"
        return wrong("nats-streams", f"JetStream does not answer: {error}", mend)
    missing = sorted(EXPECTED - there)
    if missing:
        mend = (
            "restart `feed`, `executions` and `api`, which make them; if EXECUTIONS was lost, "
            "`python -m workers.recover jetstream` first"
        )
        return wrong("nats-streams", f"missing: {', '.join(missing)}", mend)
    return well("nats-streams", f"all {len(EXPECTED)} are there")


async def _flushing(monitor_url: str | None) -> Finding:
    if monitor_url is None:
        mend = "set SHERWOOD_NATS_MONITOR_URL to a server's monitor (http://HOST:8222)"
        return unknown("nats-sync-interval", "only the server's monitor tells", mend)
    try:
        config = await asyncio.to_thread(_jetstream_config, monitor_url)
    except (OSError, ValueError, KeyError) as error:
        mend = "start NATS with `http:`, or correct SHERWOOD_NATS_MONITOR_URL"
        return wrong("nats-sync-interval", f"its monitor does not tell: {error!r}", mend)
    if config.get("sync_always") is True:
        return well("nats-sync-interval", "every message is on disk before it is acknowledged")
    return wrong("nats-sync-interval", "an acknowledged execution can be lost for minutes", FLUSH)


def _jetstream_config(monitor_url: str) -> dict[str, object]:
    direct = build_opener(ProxyHandler({}))  # a proxy cannot know the inside of a cluster
    with direct.open(f"{monitor_url.rstrip('/')}/varz", timeout=TIMEOUT_SECONDS) as answer:
        config: dict[str, object] = json.load(answer)["jetstream"]["config"]
    return config
