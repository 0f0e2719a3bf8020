"""The exchange's own record and its control panel, as a test uses them on a running stack."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from devstack.stack import DevStack
from tests.support.eventually import eventually

MEMBER: Final = "sherwood"
"""The broker under test, as the exchange knows it."""


@asynccontextmanager
async def exchange_of(stack: DevStack) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the exchange that sees what the broker's orders are there."""
    async with httpx.AsyncClient(
        base_url=stack.exchange_url, headers={"X-Member": MEMBER}, trust_env=False, timeout=30
    ) as http:
        yield http


async def recorded(exchange: httpx.AsyncClient, order_id: str) -> dict[str, Any] | None:
    """Our order as the exchange has it, or None."""
    answer = await exchange.get(f"/v1/orders/by-client-id/{order_id}")
    return answer.json() if answer.is_success else None


async def executions_of(
    exchange: httpx.AsyncClient, external_order_id: str
) -> list[dict[str, Any]]:
    """What the exchange executed of one of its orders, oldest first."""
    found: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = (await exchange.get("/v1/executions", params={"after": after, "limit": 1000})).json()
        found += [one for one in page["items"] if one["orderId"] == external_order_id]
        after = page["nextAfter"]
    return found


async def control(exchange: httpx.AsyncClient, what: str, **body: Any) -> dict[str, Any]:
    """Have the exchange do something of its own accord (`/v1/control/{what}`)."""
    answer = await exchange.post(f"/v1/control/{what}", json=body)
    assert answer.is_success, answer.text
    done: dict[str, Any] = answer.json()
    return done


@asynccontextmanager
async def still_market(exchange: httpx.AsyncClient) -> AsyncIterator[None]:
    """As good as no trade of its own for the block; orders are taken as ever."""
    speed = (await exchange.get("/v1/status")).json()["speed"]
    await control(exchange, "speed", speed=0.001)
    try:
        yield
    finally:
        await control(exchange, "speed", speed=speed)


@asynccontextmanager
async def rule(
    exchange: httpx.AsyncClient, route: str, order_id: str, action: str, **terms: Any
) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """Strike the calls about one order; yields how often it struck so far.

    A rule that never struck fails the test: it proved nothing.
    """
    match = {"route": route, "clientOrderId": order_id}
    number = (await control(exchange, "rules", action=action, match=match, **terms))["id"]

    async def fired() -> int:
        rules = (await exchange.get("/v1/control/rules")).json()["items"]
        count: int = next(one["fired"] for one in rules if one["id"] == number)
        return count

    try:
        yield fired
        assert await fired() > 0, f"{action} on {route} never struck"
    finally:
        await exchange.delete(f"/v1/control/rules/{number}")


async def struck(fired: Callable[[], Awaitable[int]], times: int = 1) -> None:
    """Return once a rule struck so often."""

    async def has() -> bool:
        return await fired() >= times

    await eventually(has, f"the rule struck {times} times")


@asynccontextmanager
async def feed_fault(
    exchange: httpx.AsyncClient, action: str, **terms: Any
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Disturb what the feed says of our orders; yields what lifts it.

    A fault that never struck fails the test.
    """
    number = (await control(exchange, "feed", action=action, member=MEMBER, **terms))["id"]

    async def lift() -> None:
        faults = (await exchange.get("/v1/control/feed")).json()["items"]
        fired = next(one["fired"] for one in faults if one["id"] == number)
        await exchange.delete("/v1/control/feed")
        assert fired > 0, f"{action} never struck"

    lifted = False

    async def lift_once() -> None:
        nonlocal lifted
        if not lifted:
            lifted = True
            await lift()

    try:
        yield lift_once
        await lift_once()
    finally:
        await exchange.delete("/v1/control/feed")
