"""A lease over a key of a bucket: of all the processes that want it, one at a time owns it.

No two clocks are ever compared. The owner rewrites the key every `renew_seconds` and owns it only
until `length_seconds - margin_seconds` after it *began* the last rewrite that succeeded. Others
read the key, and may claim it once it has not changed for `length_seconds` since *they* saw it
change, which was after it was written. Every write names the revision it replaces, so of two that
claim one wins, and a claim of what was renewed meanwhile fails.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

import structlog
from nats.js.api import DiscardPolicy, StorageType, StreamConfig
from nats.js.errors import BadRequestError, KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from brokerage.bus.connection import Bus, BusUnavailable, bus_errors
from brokerage.bus.streams import SAME_NAME_OTHER_CONFIG
from brokerage.contracts.subjects import LEASES_BUCKET

log = structlog.get_logger()

ATTEMPT_SECONDS: Final = 0.5
RETRY_SECONDS: Final = 0.05
WATCHED_SECONDS: Final = 3.0
"""Who saw no owner for this long does not stand by: it cannot look, or there is none."""
REVISION_BITS: Final = 48
BYTES_MAX: Final = 1024 * 1024

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine sleeps, where there is such a clock."""


def now_seconds() -> float:
    """Seconds of this machine's own clock, of no meaning elsewhere."""
    return time.clock_gettime(_CLOCK)


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """How long a silent owner keeps the lease, and how often it is renewed and looked at.

    `margin_seconds` is for what lies between asking "is it mine?" and the bytes leaving the
    process, and for two clocks that do not run equally fast. No request for the lease waits longer
    than `attempt_seconds`; the next one asks what became of it.
    """

    length_seconds: float = 1.2
    margin_seconds: float = 0.2
    renew_seconds: float = 0.3
    look_seconds: float = 0.1
    attempt_seconds: float = ATTEMPT_SECONDS


@dataclass(frozen=True, slots=True)
class _Record:
    """What the key holds; revision 0: nothing. An empty holder gave the lease back."""

    revision: int
    holder: str


_NOTHING: Final = _Record(0, "")


class _Changed(Exception):
    """Somebody else wrote the key."""


class Lease:
    """One process's view of the lease `key`; `holder` names this run of it and no other.

    `acquire` once, then `keep` until that returns, then `acquire` again; `release` on the way out.
    """

    def __init__(
        self,
        bus: Bus,
        key: str,
        holder: str,
        timing: LeaseTiming | None = None,
        on_renewal_failed: Callable[[], None] = lambda: None,
    ) -> None:
        self._bus = bus
        self._key = key
        self._holder = holder
        self._timing = timing or LeaseTiming()
        self._on_renewal_failed = on_renewal_failed
        self._bucket = KeyValue(
            name=LEASES_BUCKET,
            stream=f"KV_{LEASES_BUCKET}",
            pre=f"$KV.{LEASES_BUCKET}.",
            js=bus.jetstream,
            direct=False,  # a direct get may be answered by a replica that lags
        )
        self._revision = 0
        self._until = 0.0
        self._owner_seen_at = float("-inf")

    @property
    def held(self) -> bool:
        """True while this process is the owner: to be asked right before what only it may do."""
        return now_seconds() < self._until

    @property
    def watched(self) -> bool:
        """True if the lease was seen with an owner lately: that one's end would be noticed."""
        return now_seconds() - self._owner_seen_at < WATCHED_SECONDS

    async def acquire(self) -> None:
        """Return as the owner. Waits for ever, also for NATS."""
        seen: _Record | None = None
        since = 0.0
        while True:
            try:
                record = await self._read()
                looked_at = now_seconds()
                if record.holder:
                    self._owner_seen_at = looked_at
                if record != seen:
                    seen, since = record, looked_at
                if record == _NOTHING:
                    await ensure_leases(self._bus)
                if self._may_claim(record, looked_at - since):
                    await self._claim(record)
            except BusUnavailable as error:
                log.debug("lease_not_seen", key=self._key, error=str(error))
            except _Changed:
                log.info("lease_claimed_by_another", key=self._key)
            if self.held:
                log.info("lease_acquired", key=self._key, holder=self._holder)
                return
            await asyncio.sleep(self._timing.look_seconds)

    async def keep(self) -> None:
        """Renew the lease; returns when it is lost, never later than `held` becomes false."""
        sure = True  # that `_revision` is the newest we wrote
        cause = "not renewed in time"
        while (left := self._until - now_seconds()) > 0:
            pause = self._timing.renew_seconds if sure else RETRY_SECONDS
            await asyncio.sleep(min(pause, left))
            begun = now_seconds()
            # Past the end nothing is sent: the standby may have claimed it by now.
            if begun >= self._until:
                break
            try:
                async with asyncio.timeout(min(self._timing.attempt_seconds, self._until - begun)):
                    if not sure:
                        self._revision = await self._own_revision()
                    revision = await self._write(self._holder, self._revision)
            except _Changed:
                cause = "another holder"
                break
            except (BusUnavailable, TimeoutError) as error:
                # It may have been written: the next attempt looks first.
                sure = False
                self._on_renewal_failed()
                log.warning("lease_not_renewed", key=self._key, error=repr(error))
                continue
            if not self.held:
                break  # the answer came too late to count
            sure = True
            self._revision = revision
            self._until = begun + self._timing.length_seconds - self._timing.margin_seconds
        self._until = 0.0
        log.warning("lease_lost", key=self._key, cause=cause)

    async def release(self) -> None:
        """Own it no longer and, if it still was ours, let others have it at once.

        Where NATS does not answer they wait for its end instead.
        """
        held, self._until = self.held, 0.0
        if not held:
            return
        try:
            async with asyncio.timeout(self._timing.attempt_seconds):
                # Read first: a renewal may have been cut off after it was written.
                await self._write("", await self._own_revision())
        except (BusUnavailable, TimeoutError, _Changed) as error:
            log.warning("lease_not_given_back", key=self._key, error=repr(error))
        else:
            log.info("lease_given_back", key=self._key)

    def _may_claim(self, record: _Record, unchanged_seconds: float) -> bool:
        # A store without the key may have lost its memory, and somebody may still own the lease by
        # what that store said: it is waited for like any other holder.
        given_back = record != _NOTHING and record.holder in ("", self._holder)
        return given_back or unchanged_seconds >= self._timing.length_seconds

    async def _claim(self, record: _Record) -> None:
        begun = now_seconds()
        self._revision = await self._write(self._holder, record.revision)
        self._until = begun + self._timing.length_seconds - self._timing.margin_seconds

    async def _own_revision(self) -> int:
        record = await self._read()
        if record.holder != self._holder:
            raise _Changed
        return record.revision

    async def _read(self) -> _Record:
        with self._asking("read"):
            async with asyncio.timeout(self._timing.attempt_seconds):
                try:
                    entry = await self._bucket.get(self._key)
                except KeyNotFoundError:  # also where there is no bucket
                    return _NOTHING
        return _Record(entry.revision or 0, (entry.value or b"").decode())

    async def _write(self, holder: str, revision: int) -> int:
        """Replace `revision`; returns the new one. Raises `_Changed` or `BusUnavailable`."""
        with self._asking("write"):
            async with asyncio.timeout(self._timing.attempt_seconds):
                try:
                    return await self._bucket.update(self._key, holder.encode(), last=revision)
                except KeyWrongLastSequenceError as error:
                    raise _Changed from error

    def _asking(self, what: str) -> AbstractContextManager[None]:
        if not self._bus.connected:
            # The driver would keep the request and send it when the link is back, long too late.
            raise BusUnavailable(f"lease {self._key}, {what}: no link")
        return bus_errors(f"lease {self._key}, {what}")


async def ensure_leases(bus: Bus) -> None:
    """Make the bucket if it is missing; raises `BusUnavailable`."""
    config = StreamConfig(
        name=f"KV_{LEASES_BUCKET}",
        subjects=[f"$KV.{LEASES_BUCKET}.>"],
        # In memory: a disk that stalls must not cost the lease, and none outlives its server.
        storage=StorageType.MEMORY,
        max_msgs_per_subject=1,
        max_bytes=BYTES_MAX,
        discard=DiscardPolicy.NEW,
        deny_delete=True,
        allow_rollup_hdrs=True,
        # A bucket made anew must not count through revisions that the old one had: a write that
        # was on its way meanwhile would replace what it never saw.
        first_seq=secrets.randbits(REVISION_BITS) + 1,
    )
    with bus_errors(f"bucket {LEASES_BUCKET}"):
        async with asyncio.timeout(ATTEMPT_SECONDS):
            try:
                await bus.jetstream.add_stream(config)
            except BadRequestError as error:
                if error.err_code != SAME_NAME_OTHER_CONFIG:
                    raise
