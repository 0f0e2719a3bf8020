"""Plans: made once, for one order, bounded, and done by hand through the journal."""

import asyncio

import pytest

from exchange.faults import Call, FaultRules, RuleError, RuleMatch, RuleRequest
from exchange.inputs import Place
from exchange.plans import PLANS_MAX, Act, PlanRequest, Plans
from exchange.protocol import PlacementReply
from exchange.records import Order
from tests.support.eventually import eventually
from tests.unit.exchange.market_of import placement
from tests.unit.exchange.test_venue import World

DROP = RuleRequest("drop", RuleMatch("place"))


class Market:
    """An exchange in memory, with plans."""

    def __init__(self) -> None:
        self.venue = World().venue
        self.rules = FaultRules(seed=1)
        self.plans = Plans(self.venue, self.rules)

    def plan(self, name: str, *acts: Act, rules: list[RuleRequest] | None = None) -> bool:
        return self.plans.add(PlanRequest("m", name, rules or [], [*acts]))

    async def place(self, name: str, **terms: object) -> PlacementReply:
        """Place it as the order API does."""
        wanted = placement(name, send_by_ms=2**60, **terms)
        held = Place(wanted, hold_until_ms=self.plans.hold_until_ms("m", name))
        reply = (await self.venue.submit("m", [held]))[0]
        assert isinstance(reply, PlacementReply)
        await self.plans.came("placed", "m", name)
        return reply

    def order(self, name: str) -> Order:
        found = self.venue.engine.registry.order_by_client_id("m", name)
        assert found is not None
        return found


async def test_planned_order_does_not_trade_by_itself() -> None:
    market = Market()
    market.plan("planned")

    await market.place("planned")
    await market.place("other")

    assert (market.order("planned").status, market.order("other").status) == ("open", "filled")


async def test_plan_that_came_first_stands() -> None:
    market = Market()

    assert market.plan("one", Act("execute"))
    assert not market.plan("one", rules=[DROP])
    assert market.rules.all() == []
    assert len(market.plans.all()) == 1


async def test_nothing_is_planned_for_an_order_that_was_placed() -> None:
    market = Market()
    await market.place("one")

    assert not market.plan("one", Act("execute"))
    assert market.plans.all() == []


async def test_moment_that_comes_again_does_nothing() -> None:
    market = Market()
    market.plan("one", Act("execute", part=0.5))

    await market.place("one", shares=10)
    await market.place("one", shares=10)

    assert market.order("one").cumulative_shares == 5


async def test_rules_of_a_plan_strike_its_order_alone() -> None:
    market = Market()
    market.plan("one", rules=[DROP])

    assert market.rules.strike_call([Call("place", "m", "REC", "other")]) is None
    assert market.rules.strike_call([Call("place", "m", "REC", "one")]) is not None


async def test_oldest_plan_goes_with_its_rules_when_there_are_too_many() -> None:
    market = Market()
    for number in range(PLANS_MAX + 1):
        market.plan(f"o{number}", rules=[DROP])

    names = [plan.plan.client_order_id for plan in market.plans.all()]

    assert names == [f"o{number}" for number in range(1, PLANS_MAX + 1)]
    assert len(market.rules.all()) == PLANS_MAX


async def test_plan_with_a_senseless_rule_leaves_nothing_behind() -> None:
    market = Market()

    with pytest.raises(RuleError):
        market.plan("one", rules=[DROP, RuleRequest("partial", RuleMatch("cancel"))])

    assert (market.plans.all(), market.rules.all()) == ([], [])


async def test_order_that_ended_is_executed_only_where_that_is_its_plan() -> None:
    market = Market()
    market.plan("one", Act("cancel"), Act("execute"))
    market.plan("two", Act("cancel"), Act("execute", on="cancelled"))

    await market.place("one")
    await market.place("two")
    await market.plans.came("cancelled", "m", "two")

    assert market.order("one").cumulative_shares == 0
    assert market.order("two").cumulative_shares == 10


async def test_execution_keeps_to_the_limit() -> None:
    market = Market()
    market.plan("low", Act("execute"))
    market.plan("high", Act("execute"))

    await market.place("low", price_cents=1, shares=10)
    await market.place("high", side="sell", price_cents=100_000, shares=10)

    assert market.order("low").cumulative_notional_cents == 10
    assert market.order("high").cumulative_notional_cents == 1_000_000


async def test_what_comes_later_comes_while_plans_run_and_not_after() -> None:
    market = Market()
    market.plan("one", Act("execute", seconds=0.01))
    running = asyncio.TaskGroup()
    async with running:
        task = running.create_task(market.plans.run())
        await market.place("one")
        await eventually(lambda: market.order("one").status == "filled", "it is filled")
        task.cancel()
    market.plan("two", Act("execute", seconds=0.01))
    await market.place("two")

    assert market.order("two").status == "open"
