"""Every event that docs/asyncapi.json describes comes from a running stack, and is as described."""

import asyncio
import json
from typing import Any, Final

from httpx_sse import ServerSentEvent, aconnect_sse

from api.asyncapi import document
from api.schemas import SEQ_MAX
from devstack.stack import DevStack
from tests.support.accounts import Account
from tests.support.contracts import Contract
from tests.support.trading import MARKET, RESTING, ended, placed

CONTRACT: Final = Contract(document())
CHANNELS: Final[dict[str, Any]] = CONTRACT.document["channels"]
SECONDS_MAX: Final = 120.0


class Events:
    """The events of one channel: each is checked as it comes, `seen` has their names."""

    def __init__(self, channel: str) -> None:
        self.path: str = CHANNELS[channel]["address"]
        self.messages: dict[str, Any] = CHANNELS[channel]["messages"]
        self.seen: set[str] = set()

    def take(self, event: ServerSentEvent) -> Any:
        """Its payload, which is what the channel says."""
        payload = json.loads(event.data)
        CONTRACT.check(payload, self.messages[event.event]["payload"])
        self.seen.add(event.event)
        return payload

    @property
    def missing(self) -> set[str]:
        """The names of events that did not come yet."""
        return set(self.messages) - self.seen


async def test_prices_are_told_as_described(stack: DevStack, alice: Account) -> None:
    events = Events("prices")
    params = {"symbols": "SPY,IBM"}

    try:
        async with (
            asyncio.timeout(SECONDS_MAX),
            aconnect_sse(alice.http, "GET", events.path, params=params) as source,
        ):
            async for event in source.aiter_sse():
                events.take(event)
                if event.event == "prices" and "stale" not in events.seen:
                    stack.pause("exchange")
                elif event.event == "stale":
                    stack.resume("exchange")
                if not events.missing:
                    break
    finally:
        stack.resume("exchange")

    assert events.missing == set()


async def test_order_events_are_told_as_described(alice: Account) -> None:
    events = Events("orders")
    filled = await placed(alice, MARKET)
    await ended(alice, filled["id"], "filled")
    resting = await placed(alice, RESTING)
    await alice.http.delete(f"/order/{resting['id']}")
    last_seq = (await alice.http.get("/orders/events")).json()["lastSeq"]
    executions = []

    async with asyncio.timeout(SECONDS_MAX):
        async with aconnect_sse(alice.http, "GET", events.path, params={"after": 0}) as source:
            async for event in source.aiter_sse():
                payload = events.take(event)
                if event.event == "order":
                    executions.append(payload["execution"])
                if len(executions) >= last_seq and "heartbeat" in events.seen:
                    break
        ahead = {"after": SEQ_MAX}
        async with aconnect_sse(alice.http, "GET", events.path, params=ahead) as source:
            async for event in source.aiter_sse():
                events.take(event)
                if not events.missing:
                    break

    assert events.missing == set()
    assert any(executions)
    assert None in executions


async def test_a_running_node_serves_both_contracts(stack: DevStack, alice: Account) -> None:
    openapi = (await alice.http.get("/openapi.json")).json()

    assert (await alice.http.get("/asyncapi.json")).json() == document()
    assert set(openapi["paths"]) > {channel["address"] for channel in CHANNELS.values()}
