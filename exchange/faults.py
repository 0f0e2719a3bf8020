"""Fault rules: what the exchange does wrong on purpose, to whom, and how often.

A rule matches calls; the first that matches, and has strikes left, decides. What keeps a call from
being carried out comes before what strikes afterwards: an order that is not to arrive must not
arrive in a batch with another. Actions that change what happens to an order (`refuse`, `late-fill`,
`partial`) enter the journal with its placement; all others touch only what the member gets to see.
"""

import random
from typing import Annotated, Literal

import msgspec

Route = Literal["place", "cancel", "query", "any"]
Action = Literal[
    "delay",
    "delay-reply",
    "refuse",
    "error",
    "accept-then-error",
    "drop",
    "accept-then-drop",
    "hang",
    "accept-then-hang",
    "garbage",
    "late-fill",
    "partial",
    "hide",
]
ON_ORDERS = frozenset({"refuse", "late-fill", "partial", "hide"})
"""Actions on single orders; in a batch they strike each order by itself, the others all of it."""
BEFORE = frozenset({"delay", "error", "drop", "hang"})
"""Actions that strike instead of the call, or ahead of it."""
AFTER = frozenset(
    {"delay-reply", "accept-then-error", "accept-then-drop", "accept-then-hang", "garbage"}
)
"""Actions that strike once the call was carried out."""
_ROUTES_OF = {
    "refuse": ("place", "cancel"),
    "late-fill": ("place",),
    "partial": ("place",),
    "hide": ("place",),
}


class RuleMatch(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Which calls a rule strikes; what is not given, matches all."""

    route: Route = "any"
    symbol: str | None = None
    client_order_id: str | None = None
    account: str | None = None
    member: str | None = None


class RuleRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A rule to put in force.

    `seconds`: how long it delays, hangs, holds a fill or hides. `times`: after how many strikes it
    is spent (None: never). `skip`: how many calls it lets pass first. `status`: of an error.
    `shares`: the most a `partial` order trades at once. `code`: with which a placement is refused.
    """

    action: Action
    match: RuleMatch = RuleMatch()
    seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 1.0
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None
    skip: Annotated[int, msgspec.Meta(ge=0)] = 0
    probability: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    status: Annotated[int, msgspec.Meta(ge=500, le=599)] = 503
    shares: Annotated[int, msgspec.Meta(ge=0)] = 1
    reason: str = "refused by a fault rule"
    code: str = "refused"


class Rule(msgspec.Struct, rename="camel"):
    """A rule in force, or spent: how many calls it matched, and how often it fired."""

    id: int
    rule: RuleRequest
    matched: int = 0
    fired: int = 0


class Call(msgspec.Struct, frozen=True):
    """What a rule can see of one call, or of one order of a batch."""

    route: Literal["place", "cancel", "query"]
    member: str
    symbol: str | None = None
    client_order_id: str | None = None
    account: str | None = None


class RuleError(Exception):
    """The rule makes no sense."""


class FaultRules:
    """The rules, in the order they were made."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._rules: dict[int, Rule] = {}
        self._count = 0
        self._rule_max = 1_000

    def add(self, request: RuleRequest) -> Rule:
        """Put a rule in force.

        Raises:
            RuleError: the action does nothing on that route, or there are too many rules.
        """
        routes = _ROUTES_OF.get(request.action)
        if routes is not None and request.match.route not in routes:
            raise RuleError(f"{request.action} needs match.route to be {' or '.join(routes)}")
        if len(self._rules) >= self._rule_max:
            raise RuleError("too many rules: delete some")
        self._count += 1
        rule = self._rules[self._count] = Rule(self._count, request)
        return rule

    def all(self) -> list[Rule]:
        """Return all rules, spent ones included."""
        return [*self._rules.values()]

    def remove(self, number: int) -> bool:
        """Lift a rule; return whether there was one."""
        return self._rules.pop(number, None) is not None

    def clear(self) -> None:
        """Lift all rules."""
        self._rules.clear()

    def strike_order(self, call: Call) -> RuleRequest | None:
        """Return the action on this one order, if any."""
        return self._strike([call], ON_ORDERS)

    def strike_call(self, calls: list[Call]) -> RuleRequest | None:
        """Return the action on a call as a whole, which may carry several orders."""
        return self._strike(calls, BEFORE) or self._strike(calls, AFTER)

    def _strike(self, calls: list[Call], actions: frozenset[str]) -> RuleRequest | None:
        for rule in self._rules.values():
            wanted = rule.rule
            if wanted.action not in actions:
                continue
            if wanted.times is not None and rule.fired >= wanted.times:
                continue
            if not any(_matches(wanted.match, call) for call in calls):
                continue
            rule.matched += 1
            if rule.matched <= wanted.skip:
                continue
            if wanted.probability < 1 and self._random.random() >= wanted.probability:
                continue
            rule.fired += 1
            return wanted
        return None


def _matches(match: RuleMatch, call: Call) -> bool:
    return (
        match.route in ("any", call.route)
        and match.symbol in (None, call.symbol)
        and match.client_order_id in (None, call.client_order_id)
        and match.account in (None, call.account)
        and match.member in (None, call.member)
    )
