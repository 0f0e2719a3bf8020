"""What the exchange does wrong on purpose while users trade, and how often it did."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from brokerage.runtime.settings import Settings

UNKNOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "place": (
        "accept-then-drop",
        "accept-then-error",
        "accept-then-hang",
        "drop",
        "error",
        "garbage",
    ),
    "cancel": ("accept-then-drop", "error"),
}
"""By route of the exchange, what leaves its caller without knowing what became of the order."""
DISORDER: Final = ("duplicate", "reorder")
HANG_SECONDS: Final = 1.5
"""Longer than our gateway waits for an answer."""
LATE_FILL_SECONDS: Final = 0.3
"""How long the exchange keeps an order from its fill, so that a cancel can come before or after."""
MESSAGES_MAX: Final = 1_000_000
CONTROL_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Faults:
    """How much goes wrong, as parts of 1.

    `unknown`: of the calls that place or cancel, how many end without telling how. `disorder`: of
    the messages about our orders, how many come twice, and how many change places with the next.
    """

    unknown: float = 0.0
    disorder: float = 0.0

    def requests(self, member: str) -> list[tuple[str, dict[str, Any]]]:
        """What to ask of the exchange's control panel: a path below it, and a body."""
        found: list[tuple[str, dict[str, Any]]] = []
        for route, actions in UNKNOWN.items() if self.unknown else ():
            chances = equal_chances(self.unknown, len(actions))
            for action, chance in zip(actions, chances, strict=True):
                match = {"route": route, "member": member}
                rule = {"action": action, "match": match, "probability": chance}
                found.append(("rules", {**rule, "seconds": HANG_SECONDS}))
        for action in DISORDER if self.disorder else ():
            fault = {"action": action, "member": member, "probability": self.disorder}
            found.append(("feed", {**fault, "times": MESSAGES_MAX}))
        return found


@dataclass(frozen=True, slots=True)
class Strikes:
    """How often one fault struck, and in what: `place`, `cancel` or `feed`."""

    where: str
    action: str
    fired: int


def never_struck(strikes: Sequence[Strikes]) -> list[str]:
    """The places and the actions of which nothing was seen: then a run proves nothing about them.

    Of one action at one place there may be none by chance.
    """
    seen = {name for one in strikes if one.fired for name in (one.where, one.action)}
    named = dict.fromkeys(name for one in strikes for name in (one.where, one.action))
    return [name for name in named if name not in seen]


class InForce:
    """The faults that a run put in force, by the address of each at the exchange."""

    def __init__(self, http: httpx.AsyncClient, made: Mapping[str, tuple[str, str]]) -> None:
        self._http = http
        self._made = made
        self._late_fills: list[int] = []

    @asynccontextmanager
    async def late_fill(self, order_id: str) -> AsyncIterator[None]:
        """Have the exchange take this order at once and fill it `LATE_FILL_SECONDS` later, if it
        comes before the block ends.
        """
        match = {"route": "place", "clientOrderId": order_id}
        rule = {"action": "late-fill", "match": match, "seconds": LATE_FILL_SECONDS, "times": 1}
        path = await _make(self._http, "rules", rule)
        try:
            yield
        finally:
            self._late_fills.append((await self._fired("rules"))[path])
            await self._http.delete(path)

    async def strikes(self) -> list[Strikes]:
        """How often each has struck so far; late fills are counted together."""
        fired = await self._fired("rules") | await self._fired("feed")
        found = [Strikes(where, action, fired[p]) for p, (where, action) in self._made.items()]
        if self._late_fills:
            found.append(Strikes("place", "late-fill", sum(self._late_fills)))
        return found

    async def _fired(self, kind: str) -> dict[str, int]:
        answer = await self._http.get(kind)
        answer.raise_for_status()
        return {f"{kind}/{one['id']}": one["fired"] for one in answer.json()["items"]}


@asynccontextmanager
async def faults_in_force(env: Mapping[str, str], faults: Faults) -> AsyncIterator[InForce]:
    """Have the exchange that `env` names do this to us until the block ends."""
    member = env.get("SHERWOOD_EXCHANGE_MEMBER", Settings().exchange_member)
    made: dict[str, tuple[str, str]] = {}
    async with httpx.AsyncClient(
        base_url=f"{env['SHERWOOD_EXCHANGE_URL']}/v1/control/",
        timeout=CONTROL_SECONDS,
        trust_env=False,
    ) as http:
        try:
            for kind, body in faults.requests(member):
                where = body["match"]["route"] if kind == "rules" else kind
                made[await _make(http, kind, body)] = (where, body["action"])
            yield InForce(http, made)
        finally:
            for path in made:
                await http.delete(path)


async def _make(http: httpx.AsyncClient, kind: str, body: dict[str, Any]) -> str:
    answer = await http.post(kind, json=body)
    answer.raise_for_status()
    return f"{kind}/{answer.json()['id']}"


def equal_chances(total: float, count: int) -> list[float]:
    """The chance of each of `count` rules, asked one after the other until one strikes: all strike
    equally often, and together in `total` of the calls.
    """
    each = total / count
    return [each / (1 - each * before) for before in range(count)]
