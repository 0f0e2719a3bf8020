"""Operators are told where an order is, what to do about it, and what all of it may cost."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import msgspec

from brokerage.bus.connection import open_bus
from brokerage.bus.execution_log import ExecutionLog, LogEntry
from brokerage.bus.executions import ExecutionReader, Parking
from brokerage.bus.set_aside import SetAside
from brokerage.bus.streams import ensure_streams
from brokerage.bus.unbooked import unbooked
from brokerage.contracts.ids import order_id_for
from brokerage.contracts.subjects import execution_subject
from devstack.stack import DevStack
from tests.support.accounts import Account
from tests.support.eventually import eventually
from tests.support.exchange_rules import control, exchange_of, rule, struck
from tests.support.execution_log import fetched, stored
from tests.support.kill_switch import switched
from tests.support.nats_server import NatsServer
from tests.support.orders import a_fill
from tests.support.trading import MARKET, RESTING, ended, place, placed, standing, until


async def standing_so(
    operator: Account, order_id: str, holds: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """How it stands once this holds: whoever is asked may be too busy to answer in time."""
    seen: dict[str, Any] = {}

    async def so() -> bool:
        seen.update(await standing(operator, order_id))
        return holds(seen)

    try:
        await eventually(so, "the order stands so")
    except AssertionError as error:
        raise AssertionError(f"last seen: {seen}") from error
    return seen


async def exposure(operator: Account, cause: str) -> dict[str, Any]:
    """What is at risk for one cause, once something is; others of the stack have more than this
    test's.
    """

    async def at_risk() -> dict[str, Any]:
        answer = await operator.http.get("/ops/risk")
        assert answer.status_code == 200, answer.text
        found = [one for one in answer.json()["items"] if one["cause"] == cause]
        assert found, answer.text
        one: dict[str, Any] = found[0]
        return one

    one: dict[str, Any] = await eventually(at_risk, f"something is at risk: {cause}")
    return one


def is_found(told: dict[str, Any]) -> bool:
    """True if the exchange said that it has the order."""
    return bool(told["exchange"]["answer"] == "found")


async def test_an_order_that_stands_as_it_should_needs_nothing(
    operator: Account, alice: Account
) -> None:
    resting = await placed(alice, RESTING)
    filled = await placed(alice, MARKET)
    await ended(alice, filled["id"], "filled")

    at_rest = await standing_so(operator, resting["id"], is_found)
    over = await standing_so(operator, filled["id"], is_found)

    assert (at_rest["nextAct"], at_rest["waitsFor"]) == ("nothing", "price-not-reached")
    assert at_rest["exchange"] == {"answer": "found", "status": "open", "cumulativeShares": 0}
    assert (at_rest["userId"], at_rest["order"]["id"]) == (alice.user, resting["id"])
    assert at_rest["run"]["state"] == "running"
    assert (over["nextAct"], over["waitsFor"]) == ("nothing", "ended")
    assert over["exchange"]["cumulativeShares"] == 2


async def test_an_unknown_outcome_is_at_risk_and_waited_for(
    stack: DevStack, operator: Account, alice: Account
) -> None:
    key = str(uuid4())
    order_id = order_id_for(alice.user, key)
    async with exchange_of(stack) as exchange:
        async with rule(exchange, "any", order_id, "error") as fired:
            await place(alice, {**RESTING, "numShares": 7}, key)
            await struck(fired, 3)
            told = await standing_so(
                operator,
                order_id,
                lambda one: (
                    one["run"]["step"] == "resolve_submission"
                    and one["exchange"]["answer"] == "silent"
                ),
            )
            at_risk = await exposure(operator, "unknown-outcome")
        # Or, on a busy machine, too late for its send-by.
        await ended(alice, order_id, "submitted", "failed")
    after = await standing(operator, order_id)

    assert (told["nextAct"], told["waitsFor"]) == ("wait", "unknown-outcome")
    assert told["notBefore"] is not None
    assert told["run"]["attempt"] >= 1
    assert at_risk["count"] >= 1
    assert at_risk["amountInCents"] >= 7 * 100
    assert after["nextAct"] == "nothing"


async def test_a_cancel_without_an_answer_is_at_risk_and_waited_for(
    stack: DevStack, operator: Account, alice: Account
) -> None:
    order = await placed(alice, RESTING)
    async with exchange_of(stack) as exchange:
        async with rule(exchange, "cancel", order["id"], "error") as fired:
            await alice.http.delete(f"/order/{order['id']}")
            await struck(fired)
            await until(alice, order["id"], lambda one: one["status"] == "pending_cancel")
            told = await standing_so(operator, order["id"], is_found)
            at_risk = await exposure(operator, "waiting-for-cancel")
        await ended(alice, order["id"], "cancelled")

    assert (told["nextAct"], told["waitsFor"]) == ("wait", "waiting-for-cancel")
    assert told["exchange"]["status"] == "open"
    assert at_risk["count"] >= 1
    assert at_risk["amountInCents"] >= 100


async def test_an_order_that_the_gateway_cannot_be_asked_about_needs_the_gateway(
    stack: DevStack, operator: Account, alice: Account
) -> None:
    order = await placed(alice, RESTING)
    await stack.stop("gateway")
    try:
        told = await standing(operator, order["id"])
    finally:
        await stack.start("gateway")

    assert (told["nextAct"], told["exchange"]["answer"]) == ("start-part", "unheard")


async def test_what_the_kill_switch_holds_back_needs_its_release(
    operator: Account, alice: Account
) -> None:
    order = await placed(alice, RESTING)
    async with switched(operator, 3, user=alice.user):
        # The exchange has cancelled it by then, and the report of that waits.
        told = await standing_so(
            operator, order["id"], lambda one: one["nextAct"] == "release-kill-switch"
        )
    await ended(alice, order["id"], "cancelled")
    after = await standing_so(
        operator, order["id"], lambda one: is_found(one) and one["switchLevel"] == 0
    )

    assert (told["switchLevel"], told["order"]["status"]) == (3, "submitted")
    assert after["nextAct"] == "nothing"


async def test_what_nobody_knows_may_be_placed_again_and_what_is_no_id_is_not_found(
    operator: Account, alice: Account
) -> None:
    told = await standing_so(
        operator, str(uuid4()), lambda one: one["exchange"]["answer"] == "absent"
    )
    odd = await operator.http.get("/ops/orders/nonsense")
    refused = [await alice.http.get(path) for path in (f"/ops/orders/{uuid4()}", "/ops/risk")]

    assert told["nextAct"] == "repeat-with-same-key"
    assert (told["order"], told["userId"], told["run"]["state"]) == (None, None, "absent")
    assert (odd.status_code, odd.json()["code"]) == (404, "order-not-found")
    assert [(one.status_code, one.json()["code"]) for one in refused] == [
        (403, "operator-only")
    ] * 2


async def test_what_the_firm_bears_is_at_risk_at_the_last_price(
    stack: DevStack, operator: Account, alice: Account
) -> None:
    order = await placed(alice, RESTING)
    async with exchange_of(stack) as exchange:
        await control(
            exchange, "executions", orderId=order["externalOrderId"], shares=4, priceCents=100
        )

    async def borne() -> None:
        overfill = await exposure(operator, "overfill")
        price_cents = (await alice.http.get("/symbol/IBM")).json()["priceInCents"]
        assert overfill["place"] == "error-account"
        # Three shares too many, at a price that may have moved since.
        assert overfill["amountInCents"] >= 2 * price_cents
        assert overfill["cashInCents"] <= -3 * 100

    await eventually(borne, "the three shares too many are at risk")


async def test_reports_that_are_not_booked_are_at_risk_at_their_price(nats: NatsServer) -> None:
    fills = [a_fill(f"e-{number}", number, 1_000, feed_seq=number) for number in (1, 2, 3, 4)]
    entries = [
        LogEntry(
            execution_subject(fill.kind, fill.external_order_id),
            msgspec.json.encode(fill),
            fill.report_id,
            fill.feed_seq,
            "session",
        )
        for fill in fills
    ]
    async with open_bus(nats.url, "executions") as bus:
        await ensure_streams(bus)
        await stored(ExecutionLog(bus), entries)
        before = {one.cause: (one.count, one.cents) for one in await unbooked(bus)}
        reader, parking = ExecutionReader(bus), Parking(bus)
        settled, parked, dead, _ = await fetched(reader, 4)
        await parking.park(parked)
        await parking.bury(dead, "a test")
        for delivery in (settled, parked, dead):
            await delivery.settle()

        async def seen() -> None:
            after = {one.cause: (one.count, one.cents) for one in await unbooked(bus)}
            assert after == {
                "executions-under-way": (1, 4_000),
                "executions-parked": (1, 2_000),
                "dead-letters": (1, 3_000),
            }

        await eventually(seen, "each report counts where it lies")
        aside = SetAside(bus)
        mine = [await aside.parked("x-1"), await aside.dead("x-1")]
        nobodys = [await aside.parked("x-2"), await aside.dead("x-2")]
        await reader.close()

    assert before["executions-under-way"] == (4, 10_000)
    assert (mine, nobodys) == ([{"x-1": 1}, {"x-1": 1}], [{}, {}])
