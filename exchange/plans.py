"""Plans: what is to become of one order, said before it is placed.

The order of a plan is kept from the book, so that the market does nothing to it; all that happens
to it is done by hand, each act so long after a moment of its life. Plans are in memory only; what
they did is in the journal.
"""

import asyncio
from typing import Annotated, Final, Literal

import msgspec
import structlog
from msgspec.structs import replace

from exchange.faults import FaultRules, RuleError, RuleRequest
from exchange.inputs import (
    BustExecution,
    ControlReply,
    CorrectExecution,
    EndOrder,
    ExecuteOrder,
    Input,
)
from exchange.records import LIVE, Order
from exchange.venue import Venue, VenueFailed

log = structlog.get_logger()

PLANS_MAX: Final = 200
"""Beyond it the oldest goes, with its rules: what it has not done yet does not happen."""
HOLD_MS: Final = 24 * 3_600_000
"""Then the order comes to the book like any other."""

Moment = Literal["placed", "cancel", "cancelled"]
"""It was accepted; its member first asks to cancel it (before that is carried out); it was."""


class Act(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One act, `seconds` after its moment.

    `execute`: `part` of the shares that are left, rounded down, at the last price or the nearest
    that the limit allows; of an order that has ended, only after a cancel. `bust`, `correct`: the
    plan's last execution; corrected, it is a cent better for the member. `expire`, `cancel`: the
    order ends without its member asking.
    """

    do: Literal["execute", "bust", "correct", "expire", "cancel"]
    on: Moment = "placed"
    seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    part: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0


class PlanRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What is to become of the order that a member will place as `client_order_id`.

    `rules` strike calls about it and no others, whatever else they match.
    """

    member: str
    client_order_id: str
    rules: Annotated[list[RuleRequest], msgspec.Meta(max_length=4)] = []
    acts: Annotated[list[Act], msgspec.Meta(max_length=16)] = []


class Plan(msgspec.Struct, rename="camel"):
    """A plan in force: which moments of its order came, and what it executed."""

    plan: PlanRequest
    rule_ids: list[int] = []
    moments: list[Moment] = []
    execution_ids: list[str] = []


class Plans:
    """The plans, in the order they were made; `run` does what comes later than its moment."""

    def __init__(self, venue: Venue, rules: FaultRules) -> None:
        self._venue = venue
        self._rules = rules
        self._plans: dict[tuple[str, str], Plan] = {}
        self._later: asyncio.Queue[tuple[tuple[str, str], Plan, Act]] = asyncio.Queue()

    def add(self, request: PlanRequest) -> bool:
        """Put a plan in force; False, and nothing, if the order has one or was placed before.

        Raises:
            RuleError: one of its rules makes no sense, or there are too many rules.
        """
        key = request.member, request.client_order_id
        if key in self._plans or self._order(key) is not None:
            return False
        plan = Plan(request)
        try:
            for rule in request.rules:
                match = replace(rule.match, member=key[0], client_order_id=key[1])
                plan.rule_ids.append(self._rules.add(replace(rule, match=match)).id)
        except RuleError:
            self._lift_rules(plan)
            raise
        if len(self._plans) >= PLANS_MAX:
            self._lift_rules(self._plans.pop(next(iter(self._plans))))
        self._plans[key] = plan
        return True

    def all(self) -> list[Plan]:
        """Return all plans, those that are done included."""
        return [*self._plans.values()]

    def hold_until_ms(self, member: str, client_order_id: str) -> int:
        """Until when the order is kept from the book; 0 if it has no plan."""
        planned = (member, client_order_id) in self._plans
        return self._venue.now_ms() + HOLD_MS if planned else 0

    async def came(self, moment: Moment, member: str, client_order_id: str | None) -> None:
        """A moment of the order's life came: do what is planned for it, the first time."""
        if client_order_id is None or (member, client_order_id) not in self._plans:
            return
        key = member, client_order_id
        plan, order = self._plans[key], self._order(key)
        if order is None or moment in plan.moments:
            return
        plan.moments.append(moment)
        for act in plan.plan.acts:
            if act.on == moment and act.seconds == 0:
                await self._do(key, plan, act)
            elif act.on == moment:
                self._later.put_nowait((key, plan, act))
        if moment == "placed" and order.time_in_force == "ioc":
            await self._submit(EndOrder(order.order_id, False, "immediate or cancel"))

    async def run(self) -> None:
        """Do what comes later; for as long as it is not cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._do_later(*await self._later.get()))

    async def _do_later(self, key: tuple[str, str], plan: Plan, act: Act) -> None:
        await asyncio.sleep(act.seconds)
        try:
            await self._do(key, plan, act)
        except VenueFailed as error:
            log.warning("plan_not_done", act=act.do, error=str(error))

    async def _do(self, key: tuple[str, str], plan: Plan, act: Act) -> None:
        order = self._order(key)
        wanted = None if order is None else self._input(order, plan, act)
        if wanted is None:
            return
        reply = await self._submit(wanted)
        if act.do == "execute" and reply.id is not None:
            plan.execution_ids.append(reply.id)

    def _input(self, order: Order, plan: Plan, act: Act) -> Input | None:
        """The act as the engine knows it; None where there is nothing to do it to."""
        if act.do in ("expire", "cancel"):
            return EndOrder(order.order_id, act.do == "expire", "ended by its plan")
        if act.do == "execute":
            if order.status != LIVE and act.on != "cancelled":
                return None
            shares = int(order.leaves_shares * act.part)
            price_cents = self._price_cents(order)
            return ExecuteOrder(order.order_id, price_cents, shares) if shares else None
        if not plan.execution_ids:
            return None
        if act.do == "bust":
            return BustExecution(plan.execution_ids[-1])
        record = self._venue.engine.registry.execution(plan.execution_ids[-1])
        assert record is not None
        execution = record.execution
        better = -1 if order.side == "buy" else 1
        price_cents = max(1, execution.price_cents + better)
        return CorrectExecution(execution.execution_id, price_cents, execution.shares)

    def _lift_rules(self, plan: Plan) -> None:
        for number in plan.rule_ids:
            self._rules.remove(number)

    def _price_cents(self, order: Order) -> int:
        state = self._venue.engine.floor.symbol(order.symbol)
        assert state is not None
        nearest = min if order.side == "buy" else max
        return nearest(order.price_cents, state.market_cents)

    def _order(self, key: tuple[str, str]) -> Order | None:
        return self._venue.engine.registry.order_by_client_id(*key)

    async def _submit(self, wanted: Input) -> ControlReply:
        reply = (await self._venue.submit("", [wanted]))[0]
        assert isinstance(reply, ControlReply)
        return reply
