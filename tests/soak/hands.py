"""Carrying out a fault on a running stack, and seeing that it acted."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx
import psutil

from devstack.identity import Identity, alive
from devstack.stack import DevStack
from tests.checker.venue import read_venue
from tests.soak.byhand import request_for
from tests.soak.result import Seen
from tests.soak.schedule import Fault
from tests.soak.wires import Wires
from tests.support.eventually import comes_true, eventually
from tests.support.exchange_rules import MEMBER
from tests.support.proxy import FaultProxy

GONE_SECONDS: Final = 30.0
"""How long a signal may take to be seen to have acted."""
HELD_UP_SECONDS: Final = 60.0
"""How long a part may take to be there, to be hurt."""
TRAFFIC_SECONDS: Final = 30.0
"""How much longer a fault waits for what it is to strike: NATS pings every 5 to 10 s, and users
may be held up.
"""
RULE_SECONDS: Final = {"late-fill": 0.5, "hide": 1.5, "delay-reply": 0.8}
"""How long the exchange holds a fill, hides an order (its own bound is 2 s), or delays."""
RULE_SECONDS_OTHERWISE: Final = 1.5
"""Longer than our gateway waits for an answer."""
MESSAGES_MAX: Final = 1_000_000
ACTED_ON: Final = {
    "cut": ("broken", "refused"),
    "hold": ("held",),
    "lose": ("lost",),
    "slow": ("slowed",),
    "truncate": ("broken",),
}
"""What a proxy counts when this has met traffic."""


class Hands:
    """What reaches into the stack."""

    def __init__(self, stack: DevStack, wires: Wires, exchange: httpx.AsyncClient) -> None:
        self._stack = stack
        self._wires = wires
        self._exchange = exchange

    async def carry_out(self, fault: Fault) -> Seen:
        """Do it, heal it, and return what was seen. Cancelled, it is healed as well."""
        match fault.kind:
            case "kill":
                return await self._kill(fault.target)
            case "freeze":
                return await self._freeze(fault)
            case "answers":
                return await self._at_exchange(fault, "rules", _rule(fault))
            case "feed":
                return await self._at_exchange(fault, "feed", _disturbance(fault))
            case "order":
                return await self._to_an_order(fault)
        return await self._on_wire(fault, self._wires.proxies[fault.target])

    async def _kill(self, name: str) -> Seen:
        identity = await self._running(name)
        since = time.time()
        self._stack.kill(name)
        process = self._stack.processes[name]
        # Its supervisor must have noticed, or what it says of it is about the one before.
        gone = await comes_true(
            lambda: alive(identity) is None and process.identity != identity, GONE_SECONDS
        )
        return Seen(gone, f"pid {identity.pid} {'is gone' if gone else 'lives'}", since)

    async def _freeze(self, fault: Fault) -> Seen:
        identity = await self._running(fault.target)
        self._stack.pause(fault.target)
        try:
            stopped = await comes_true(lambda: _is_stopped(identity), GONE_SECONDS)
            await asyncio.sleep(fault.seconds)
            stopped = stopped and _is_stopped(identity)
        finally:
            self._stack.resume(fault.target)
        state = "stood still" if stopped else "went on"
        return Seen(stopped, f"pid {identity.pid} {state} for {fault.seconds:g} s", time.time())

    async def _running(self, name: str) -> Identity:
        """Who is to be hurt; one that is just being started is waited for."""
        process = self._stack.processes[name]

        def running() -> Identity:
            assert process.identity is not None, process.detail
            return process.identity

        identity: Identity = await eventually(running, f"{name} runs", HELD_UP_SECONDS)
        return identity

    async def _on_wire(self, fault: Fault, proxy: FaultProxy) -> Seen:
        before = Counter(proxy.done)
        match fault.kind:
            case "cut":
                proxy.close_up()
            case "hold":
                proxy.hold()
            case "lose":
                proxy.lose_answers()
            case "slow":
                proxy.slow(fault.amount)
            case "truncate":
                proxy.cut_after(int(fault.amount))

        def acted() -> bool:
            return any(proxy.done[name] > before[name] for name in ACTED_ON[fault.kind])

        try:
            await asyncio.sleep(fault.seconds)
            met = await comes_true(acted, TRAFFIC_SECONDS)
        finally:
            proxy.let_go()
        done = proxy.done - before
        evidence = ", ".join(f"{name} {count}" for name, count in done.items())
        return Seen(met, evidence or "no traffic", time.time())

    async def _at_exchange(self, fault: Fault, kind: str, body: dict[str, Any]) -> Seen:
        made = await self._control(lambda: self._exchange.post(f"/v1/control/{kind}", json=body))
        number = made.raise_for_status().json()["id"]

        async def fired() -> int:
            listed = await self._control(lambda: self._exchange.get(f"/v1/control/{kind}"))
            count: int = next(one["fired"] for one in listed.json()["items"] if one["id"] == number)
            return count

        async def acted() -> bool:
            return await fired() > 0

        try:
            await asyncio.sleep(fault.seconds)
            met = await comes_true(acted, TRAFFIC_SECONDS)
            evidence = f"fired {await fired()}"
        finally:
            path = f"/v1/control/{kind}/{number}"
            await self._control(lambda: self._exchange.delete(path))
        return Seen(met, evidence, time.time())

    async def _to_an_order(self, fault: Fault) -> Seen:
        _, _, action = fault.target.partition("/")
        venue = read_venue(self._stack.home.root / "exchange" / "journal.db")
        request = request_for(action, venue, fault.amount)
        if request is None:
            return Seen(False, "no such order yet", time.time())
        path = f"/v1/control/{request.what}"
        answer = await self._control(lambda: self._exchange.post(path, json=request.body))
        what = f"{request.body}" if answer.is_success else answer.text
        return Seen(answer.is_success, what, time.time())

    async def _control(self, ask: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        """Ask the exchange's control panel, again while the exchange is away."""
        answer: httpx.Response = await eventually(ask, "it answers", HELD_UP_SECONDS)
        return answer


def _rule(fault: Fault) -> dict[str, Any]:
    route, _, action = fault.target.partition("/")
    return {
        "action": action,
        "match": {"route": route, "member": MEMBER},
        "probability": fault.amount,
        "seconds": RULE_SECONDS.get(action, RULE_SECONDS_OTHERWISE),
    }


def _disturbance(fault: Fault) -> dict[str, Any]:
    _, _, action = fault.target.partition("/")
    return {
        "action": action,
        "member": MEMBER,
        "probability": fault.amount,
        "seconds": fault.seconds,
        "times": MESSAGES_MAX,
    }


def _is_stopped(identity: Identity) -> bool:
    process = alive(identity)
    return process is not None and process.status() == psutil.STATUS_STOPPED
