"""`python -m bench.kill_switch`: how long orders still reach the exchange after the switch is set,
how soon a process that cannot read it is closed, and what the check of what leaves costs an order.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, Final
from uuid import uuid4

import httpx
import structlog
import typer
from rich.console import Console

from bench.figures import percentile
from bench.machine import describe
from bench.target import own_stack
from brokerage.bus.connection import Bus, open_bus
from brokerage.bus.egress import Entries
from brokerage.bus.kill_switch import KillSwitch, new_act, open_kill_switch, set_switch
from devstack.stack import DevStack

TRADERS: Final = 12
HELD_SECONDS: Final = 0.7
RELEASED_SECONDS: Final = 0.5
FREEZES: Final = 5
CLAIMS: Final = 500
PAGE: Final = 1_000
MEMBER: Final = {"X-Member": "sherwood"}

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
console = Console(highlight=False)


@app.command()
def measure(
    switches: Annotated[int, typer.Option("--switches", min=1, help="How often it is set.")] = 50,
) -> None:
    """Set it again and again under load, then freeze NATS; print p50 and maximum."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    console.print(describe())
    asyncio.run(_measure(switches))


async def _measure(switches: int) -> None:
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(own_stack(20.0))
        http = await stack.enter_async_context(_client(target.api_url))
        bus = await stack.enter_async_context(open_bus(target.env["SHERWOOD_NATS_URL"], "bench"))
        exchange = await stack.enter_async_context(_client(target.env["SHERWOOD_EXCHANGE_URL"]))
        await _lift_limits(http)
        async with _trading(http):
            times = [await _switch_once(bus) for _ in range(switches)]
        placed_ms = await _placed_ms(exchange)
        late = [_last_placed_after(set_ms, until_ms, placed_ms) for set_ms, until_ms in times]
        _report("set -> last placement received by the exchange", late)
        console.print(f"  {len(placed_ms)} orders reached the exchange in all")
        switch = await stack.enter_async_context(open_kill_switch(bus))
        _report(
            "NATS frozen -> closed", [await _freeze(target.stack, switch) for _ in range(FREEZES)]
        )
        _report("claim of one attempt", await _claims(bus))


@asynccontextmanager
async def _client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http:
        yield http


async def _token(http: httpx.AsyncClient, user: str, scope: str | None = None) -> dict[str, str]:
    body = {"user": user} | ({"scope": scope} if scope else {})
    answer = await http.post("/dev/token", json=body)
    return {"authorization": f"Bearer {answer.raise_for_status().json()['token']}"}


async def _lift_limits(http: httpx.AsyncClient) -> None:
    operator = await _token(http, "operator", "operator")
    for name in ("user-orders-per-second", "user-orders-burst"):
        body = {"value": 100_000, "reason": "measuring"}
        answer = await http.put(f"/ops/limits/{name}", json=body, headers=operator)
        answer.raise_for_status()


@asynccontextmanager
async def _trading(http: httpx.AsyncClient) -> AsyncIterator[None]:
    """Users who place without a pause, as long as the block."""

    async def trade(number: int) -> None:
        token = await _token(http, f"trader-{number}")
        order: dict[str, Any] = {"position": "buy", "symbol": "IBM", "numShares": 1}
        order |= {"priceInCents": 1, "timeInForce": "gtc"}
        while True:
            await http.post("/order", json=order, headers=token | {"idempotency-key": str(uuid4())})

    async with asyncio.TaskGroup() as tasks:
        trading = [tasks.create_task(trade(number)) for number in range(TRADERS)]
        yield
        for one in trading:
            one.cancel()


async def _switch_once(bus: Bus) -> tuple[int, int]:
    """Set for a while: when that was written, and when it was about to be released; wall ms."""
    await set_switch(bus, _act(1))
    set_ms = time.time_ns() // 1_000_000
    await asyncio.sleep(HELD_SECONDS)
    until_ms = time.time_ns() // 1_000_000
    await set_switch(bus, _act(0))
    await asyncio.sleep(RELEASED_SECONDS)
    return set_ms, until_ms


def _act(level: int) -> Any:
    return new_act("global", "", level, operator="bench", address="", reason="measuring")


async def _placed_ms(exchange: httpx.AsyncClient) -> list[int]:
    """When each of our orders reached the exchange, by its clock, which is this machine's."""
    found: list[int] = []
    after = ""
    while True:
        params = {"limit": str(PAGE)} | ({"after": after} if after else {})
        page = (await exchange.get("/v1/orders", params=params, headers=MEMBER)).json()
        found += [order["placedAtMs"] for order in page["items"]]
        after = page["nextAfter"]
        if not after:
            return found


def _last_placed_after(set_ms: int, until_ms: int, placed_ms: list[int]) -> float:
    """Milliseconds from `set_ms` to the last order before `until_ms`; 0 if there is none."""
    return float(max((at - set_ms for at in placed_ms if set_ms < at < until_ms), default=0))


async def _freeze(stack: DevStack, switch: KillSwitch) -> float:
    await _until(switch, known=True)
    stack.pause("nats")
    began = time.perf_counter()
    try:
        await _until(switch, known=False)
        return (time.perf_counter() - began) * 1000
    finally:
        stack.resume("nats")


async def _until(switch: KillSwitch, *, known: bool) -> None:
    while (switch.switches is not None) is not known:  # noqa: ASYNC110 - time is no event
        await asyncio.sleep(0.005)


async def _claims(bus: Bus) -> list[float]:
    entries = Entries(bus)
    spent: list[float] = []
    for _ in range(CLAIMS):
        began = time.perf_counter()
        await entries.claim(str(uuid4()))
        spent.append((time.perf_counter() - began) * 1000)
    return spent


def _report(what: str, milliseconds: list[float]) -> None:
    ordered = sorted(milliseconds)
    console.print(
        f"{what:<48} p50 {percentile(ordered, 50):7.1f} ms   max {ordered[-1]:7.1f} ms"
        f"   of {len(ordered)}"
    )


if __name__ == "__main__":
    app()
