"""The kill switch in a bucket on disk: set by one write, known to every process that must obey.

A change is heard at once, because a write is a message. The state is also read several times a
second: what was missed counts a moment later, and a process that cannot read knows that it does not
know.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from typing import Final

import msgspec
import structlog
from nats.js.api import DiscardPolicy, StorageType, StreamConfig
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError, NotFoundError
from nats.js.kv import KeyValue

from brokerage.bus.connection import Bus, BusUnavailable, bus_errors
from brokerage.bus.kill_switch_metrics import kill_switch_gauges
from brokerage.bus.lease import now_seconds
from brokerage.bus.streams import MEBIBYTE, ensure_stream
from brokerage.contracts.kill_switch import (
    PAUSE_EXECUTIONS,
    SUBJECTS_MAX,
    Scope,
    SwitchAct,
    Switches,
)
from brokerage.contracts.subjects import KILL_SWITCH_BUCKET
from brokerage.runtime.tasks import TaskSet

log = structlog.get_logger()

LOOK_SECONDS: Final = 0.25
READ_SECONDS: Final = 0.5
WRITE_SECONDS: Final = 2.0
FRESH_SECONDS: Final = 1.8
"""What was read longer ago counts no more: whoever takes orders is closed within two seconds."""
HISTORY: Final = 256
"""Acts that the bucket keeps, until Postgres has a copy of them."""
STATE_KEY: Final = "state"
SET_ATTEMPTS: Final = 20

_STREAM: Final = StreamConfig(
    name=f"KV_{KILL_SWITCH_BUCKET}",
    subjects=[f"$KV.{KILL_SWITCH_BUCKET}.>"],
    storage=StorageType.FILE,
    max_msgs_per_subject=HISTORY,
    max_bytes=64 * MEBIBYTE,
    discard=DiscardPolicy.NEW,
    deny_delete=True,
    allow_rollup_hdrs=True,
)
_DECODER: Final = msgspec.json.Decoder(Switches)


class SwitchAbsent(Exception):
    """There is no state: NATS is new, or has lost what was set. Everybody's level comes first."""


class TooManySwitched(Exception):
    """`SUBJECTS_MAX` users and symbols are switched already."""


class _Changed(Exception):
    """Somebody else set it meanwhile."""


class KillSwitch:
    """The switch as this process knows it; `run` keeps that up to date."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._bucket = _bucket(bus)
        self._last: Switches | None = None
        self._read_at = float("-inf")
        self._heard = asyncio.Event()
        self._changed = asyncio.Event()

    @property
    def switches(self) -> Switches | None:
        """The state; None where it cannot be read, or is absent: then no order may pass."""
        return self._last if now_seconds() - self._read_at < FRESH_SECONDS else None

    @property
    def is_absent(self) -> bool:
        """True if the bucket was looked at and there is no state in it."""
        return self._last is None and now_seconds() - self._read_at < FRESH_SECONDS

    def pauses(self, user_id: str = "", symbol: str = "") -> bool:
        """True if executions are not to be booked now: all of them, or this user's, this symbol's.

        Only where that is known: money that moved is not held back because nobody knows.
        """
        known = self.switches
        return known is not None and known.level(user_id, symbol) >= PAUSE_EXECUTIONS

    async def changed(self, timeout_seconds: float | None = None) -> None:
        """Return at the next change, or after this time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    async def hear(self, subject: str = "", payload: bytes = b"") -> None:
        """Look now: something was written, or the link is back."""
        self._heard.set()

    async def run(self) -> None:
        """Keep the state up to date until cancelled."""
        while True:
            self._heard.clear()
            await self.look()
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._heard.wait()
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Read it now; what was read before stays where that fails."""
        try:
            await self._read()
        except BusUnavailable as error:
            log.debug("kill_switch_not_read", error=str(error))
        kill_switch_gauges().readable.set(self.switches is not None)

    async def _read(self) -> None:
        begun = now_seconds()
        switches: Switches | None = None
        with suppress(SwitchAbsent):
            switches, _ = await _read(self._bus, self._bucket)
        if begun < self._read_at:
            return  # one that began later has told
        was_fresh = begun - self._read_at < FRESH_SECONDS
        self._read_at = begun
        if was_fresh and switches == self._last:
            return
        self._last = switches
        _measure(switches)
        if switches is None:
            log.error("kill_switch_absent", meaning="no order passes until it is set")
        else:
            log.warning("kill_switch", **msgspec.to_builtins(switches.act))
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


@asynccontextmanager
async def open_kill_switch(bus: Bus) -> AsyncIterator[KillSwitch]:
    """Follow the switch as long as the block."""
    switch = KillSwitch(bus)
    # A put is a plain publish on this subject: hearing it needs no consumer on the server.
    subscription = await bus.subscribe(f"$KV.{KILL_SWITCH_BUCKET}.{STATE_KEY}", switch.hear)
    bus.on_reconnect(switch.hear)
    async with TaskSet() as tasks:
        tasks.spawn(switch.run(), "kill-switch")
        try:
            yield switch
        finally:
            await subscription.close()


def new_act(
    scope: Scope, subject: str, level: int, *, operator: str, address: str, reason: str
) -> SwitchAct:
    """An act of this moment."""
    return SwitchAct(
        act_id=secrets.token_hex(12),
        at_ms=time.time_ns() // 1_000_000,
        operator=operator,
        address=address,
        reason=reason,
        scope=scope,
        subject=subject,
        level=level,
    )


async def set_switch(bus: Bus, act: SwitchAct) -> Switches:
    """Write what the act makes of the state; it counts everywhere within a moment.

    Raises `SwitchAbsent`, `TooManySwitched`, and `BusUnavailable`, after which it may be set.
    """
    bucket = _bucket(bus)
    for _ in range(SET_ATTEMPTS):
        try:
            before, revision = await _read(bus, bucket)
        except SwitchAbsent:
            if act.scope != "global":
                raise
            return await create_switch(bus, act)
        after = before.after(act)
        if len(after.users) + len(after.symbols) > SUBJECTS_MAX:
            raise TooManySwitched
        try:
            await _write(bus, bucket, after, revision)
        except _Changed:
            continue
        return after
    raise BusUnavailable("kill switch: set by too many at once")


async def create_switch(bus: Bus, act: SwitchAct) -> Switches:
    """Write the first state; where there is one by now, that stays and is returned.

    Raises `BusUnavailable`.
    """
    bucket = _bucket(bus)
    first = Switches(act, everybody=act.level)
    await ensure_stream(bus, _STREAM)
    try:
        await _write(bus, bucket, first, 0)
    except _Changed:
        return (await _read(bus, bucket))[0]
    return first


async def read_switch(bus: Bus) -> Switches:
    """The state as it is now. Raises `SwitchAbsent` and `BusUnavailable`."""
    return (await _read(bus, _bucket(bus)))[0]


async def acts_of(bus: Bus) -> list[SwitchAct]:
    """The acts that the bucket still has, oldest first. Raises `BusUnavailable`."""
    acts: list[SwitchAct] = []
    next_sequence = 1
    with bus_errors("acts of the kill switch"):
        while True:
            try:
                async with asyncio.timeout(READ_SECONDS):
                    message = await bus.jetstream.get_msg(
                        _STREAM.name or "",
                        seq=next_sequence,
                        subject=f"$KV.{KILL_SWITCH_BUCKET}.{STATE_KEY}",
                        next=True,
                    )
            except NotFoundError:
                return acts
            acts.append(_DECODER.decode(message.data or b"").act)
            next_sequence = (message.seq or 0) + 1


def _bucket(bus: Bus) -> KeyValue:
    return KeyValue(
        name=KILL_SWITCH_BUCKET,
        stream=f"KV_{KILL_SWITCH_BUCKET}",
        pre=f"$KV.{KILL_SWITCH_BUCKET}.",
        js=bus.jetstream,
        direct=False,  # a direct get may be answered by a replica that lags
    )


async def _read(bus: Bus, bucket: KeyValue) -> tuple[Switches, int]:
    with _asking(bus, "read"):
        try:
            async with asyncio.timeout(READ_SECONDS):
                entry = await bucket.get(STATE_KEY)
        except KeyNotFoundError as error:  # also where there is no bucket
            raise SwitchAbsent from error
    return _DECODER.decode(entry.value or b""), entry.revision or 0


async def _write(bus: Bus, bucket: KeyValue, switches: Switches, revision: int) -> None:
    """Replace that revision. Raises `_Changed` and `BusUnavailable`."""
    with _asking(bus, "write"):
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await bucket.update(STATE_KEY, msgspec.json.encode(switches), last=revision)
        except KeyWrongLastSequenceError as error:
            raise _Changed from error


def _asking(bus: Bus, what: str) -> AbstractContextManager[None]:
    if not bus.connected:
        # The driver would keep the request and send it when the link is back, long too late.
        raise BusUnavailable(f"kill switch, {what}: no link")
    return bus_errors(f"kill switch, {what}")


def _measure(switches: Switches | None) -> None:
    levels = {
        "global": [] if switches is None else [switches.everybody],
        "user": [] if switches is None else [*switches.users.values()],
        "symbol": [] if switches is None else [*switches.symbols.values()],
    }
    for scope, set_to in levels.items():
        kill_switch_gauges().level.labels(scope).set(max(set_to, default=0))
