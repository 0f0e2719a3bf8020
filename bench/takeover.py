"""`python -m bench.takeover`: how long prices stand still when the feed's owner is killed."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console

from bench.machine import describe
from brokerage.bus.beat import decode_beat
from brokerage.bus.connection import open_bus
from brokerage.bus.tick import EPOCH_SHIFT, version_of
from brokerage.contracts.subjects import FEED_BEAT
from devstack.roles import owner_among, roles_of
from devstack.stack import DevStack

ONLY: Final = ("nats", "postgres", "migrations", "exchange", "feed")
WAIT_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.05
STEADY_SECONDS: Final = (2.0, 3.5)
"""Between two kills, and drawn, so that they fall anywhere between two renewals of the lease."""

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
console = Console(highlight=False)


@dataclass(frozen=True, slots=True)
class Takeover:
    """Seconds from SIGKILL to the new owner's first tick, and to its first beat."""

    tick_seconds: float
    beat_seconds: float


class Ear:
    """Hears ticks and beats; notes when the first of an epoch came."""

    def __init__(self) -> None:
        self.epoch = 0
        self.first_tick: dict[int, float] = {}
        self.first_beat: dict[int, float] = {}
        self._beaten = asyncio.Event()

    async def newer_than(self, epoch: int) -> int:
        """Wait for a beat of a newer epoch, and return that. Raises `TimeoutError`."""
        async with asyncio.timeout(WAIT_SECONDS):
            while self.epoch <= epoch:
                self._beaten.clear()
                await self._beaten.wait()
        return self.epoch

    async def hear_tick(self, subject: str, payload: bytes) -> None:
        """Take a tick."""
        self.first_tick.setdefault(version_of(payload) >> EPOCH_SHIFT, time.monotonic())

    async def hear_beat(self, subject: str, payload: bytes) -> None:
        """Take a beat."""
        try:
            epoch = decode_beat(payload).epoch
        except msgspec.DecodeError:
            return
        self.first_beat.setdefault(epoch, time.monotonic())
        self.epoch = max(self.epoch, epoch)
        self._beaten.set()


@asynccontextmanager
async def listening(nats_url: str) -> AsyncIterator[Ear]:
    """Hear everything as long as the block."""
    ear = Ear()
    async with open_bus(nats_url, "bench") as bus:
        await bus.subscribe("prices.*", ear.hear_tick)
        await bus.subscribe(FEED_BEAT, ear.hear_beat)
        await bus.flush()
        yield ear


async def measure(kills: int, seed: int) -> list[Takeover]:
    """Kill the owner again and again. Raises `TimeoutError` if nobody takes over."""
    chance = random.Random(seed)
    found: list[Takeover] = []
    async with DevStack.temporary(only=ONLY) as stack:
        await stack.wait_ready()
        async with listening(stack.env["SHERWOOD_NATS_URL"]) as ear:
            for _ in range(kills):
                await _until_one_of_each(stack)
                await asyncio.sleep(chance.uniform(*STEADY_SECONDS))
                owner = await owner_among(stack.rows(), "feed")
                epoch = ear.epoch
                killed = time.monotonic()
                stack.kill(owner)
                took = await ear.newer_than(epoch)
                found.append(Takeover(ear.first_tick[took] - killed, ear.first_beat[took] - killed))
    return found


async def _until_one_of_each(stack: DevStack) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            if sorted((await roles_of(stack.rows())).values()) == ["owner", "standby"]:
                return
            await asyncio.sleep(LOOK_SECONDS)


@app.command()
def main(
    kills: Annotated[int, typer.Option(min=1, help="How many times.")] = 10,
    seed: Annotated[int, typer.Option(help="Draws the moments.")] = 1,
) -> None:
    """Kill the process that owns the exchange's feed, and time the standby."""
    found = asyncio.run(measure(kills, seed))
    command = f"python -m bench.takeover --kills {kills} --seed {seed}"
    console.print(f"{describe()}; {command}", soft_wrap=True)
    for what, seconds in (
        ("first tick of the new owner", [one.tick_seconds for one in found]),
        ("its first beat", [one.beat_seconds for one in found]),
    ):
        console.print(
            f"SIGKILL to {what}: median {median(seconds):.2f} s, "
            f"{min(seconds):.2f} to {max(seconds):.2f} s, {len(seconds)} kills"
        )


if __name__ == "__main__":
    app()
