"""Busts and corrections of a whole stack's executions, from the exchange to the owner's list."""

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from bench.checks import Difference, ExchangeRecord, check
from brokerage.storage.audit import open_auditor
from client.auth import BearerToken
from client.sherwood import Sherwood
from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.eventually import eventually
from tests.support.exchange_member import member_of
from tests.support.exchange_rules import MEMBER, control, executions_of, feed_fault
from tests.support.race import TEN, Scene, balances, race
from tests.support.trading import Order, placed

SALE: Final[Order] = {
    "position": "sell",
    "symbol": "IBM",
    "priceInCents": 100_000,
    "numShares": 1,
    "timeInForce": "gtc",
}
"""So far above the market that it never trades by itself."""


@pytest.fixture
async def scene(stack: DevStack) -> AsyncIterator[Scene]:
    async with race(stack) as scene:
        yield scene


async def executed(scene: Scene, order: Order, shares: int) -> str:
    """Have the exchange execute so much; the id of the execution."""
    await scene.execute(order, shares)
    return str((await executions_of(scene.exchange, order["externalOrderId"]))[-1]["executionId"])


async def bust(scene: Scene, execution_id: str) -> None:
    await control(scene.exchange, "busts", executionId=execution_id)


async def correct(scene: Scene, execution_id: str, shares: int, price_cents: int) -> None:
    await control(
        scene.exchange,
        "corrections",
        executionId=execution_id,
        shares=shares,
        priceCents=price_cents,
    )


async def listed(alice: Account, **query: Any) -> list[dict[str, Any]]:
    """The user's executions as the API tells them."""
    answer = await alice.http.get("/executions", params=query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def differences(stack: DevStack, *orders: Order) -> list[Difference]:
    """In what our books of these orders, the firm's part included, differ from the exchange's."""
    ids = {order["id"] for order in orders}
    async with (
        open_auditor(stack.env["SHERWOOD_DATABASE_URL"]) as audit,
        member_of(stack.exchange_url, MEMBER) as member,
    ):
        theirs = ExchangeRecord(await member.orders(), await member.executions())
        ours = await audit()
    ids |= {one.execution_id for one in ours.executions if one.order_id in ids}
    return [found for found in check(ours, theirs) if found.where in ids]


async def put_in(alice: Account) -> int:
    """What was ever put into the account, by its history of value and profit."""
    last = (await alice.http.get("/portfolio/history")).json()["points"][-1]
    value, profit = last["valueInCents"], last["profitInCents"]
    return int(value) - int(profit)


async def test_bust_of_an_open_order_lowers_what_it_has_and_the_rest_trades_on(
    scene: Scene,
) -> None:
    order = await placed(scene.alice, TEN)
    execution = await executed(scene, order, 4)
    await scene.until(order, "partially_filled", 4)
    await bust(scene, execution)
    await scene.until(order, "partially_filled", 0)
    held = (await balances(scene.alice))["held"]
    await scene.execute(order, 6)

    assert held == 600
    await scene.agrees(order, "filled", 6)
    assert await scene.kinds(order) == ["placed", "submitted", "fill", "bust", "fill"]


async def test_bust_of_an_order_whose_workflow_has_ended_reopens_it(scene: Scene) -> None:
    before = await put_in(scene.alice)
    order = await placed(scene.alice, TEN)
    execution = await executed(scene, order, 10)
    await scene.until(order, "filled", 10)
    await bust(scene, execution)

    await scene.agrees(order, "filled", 0)
    assert await put_in(scene.alice) == before  # a bust is no loss, and no payment to the account
    [one] = await listed(scene.alice)
    assert (one["status"], one["shares"], one["priceInCents"]) == ("busted", 0, None)
    assert one["was"] == {"shares": 10, "priceInCents": 100, "notionalInCents": 1_000}
    assert one["amendedAt"] >= one["at"]


async def test_correction_is_corrected_and_busted_in_the_end(scene: Scene) -> None:
    order = await placed(scene.alice, TEN)
    execution = await executed(scene, order, 10)
    await correct(scene, execution, 8, 99)
    await scene.agrees(order, "filled", 8)
    [corrected] = await listed(scene.alice, orderId=order["id"])
    await correct(scene, execution, 9, 98)
    await scene.agrees(order, "filled", 9)
    await bust(scene, execution)

    await scene.agrees(order, "filled", 0)
    assert corrected["status"] == "corrected"
    assert (corrected["shares"], corrected["priceInCents"]) == (8, 99)
    assert corrected["notionalInCents"] == 792
    assert corrected["priceImprovementInCents"] == 8
    assert (await scene.kinds(order))[2:] == ["fill", "correction", "correction", "bust"]


@pytest.mark.parametrize("fault", ["duplicate", "reorder"])
async def test_bust_that_is_told_twice_or_before_its_execution_is_booked_once(
    scene: Scene, fault: str
) -> None:
    order = await placed(scene.alice, TEN)
    async with feed_fault(scene.exchange, fault, times=2):
        execution = await executed(scene, order, 4)
        await bust(scene, execution)
        await scene.execute(order, 6)
        await scene.until(order, "filled", 6)

    await scene.agrees(order, "filled", 6)
    assert sorted((await scene.kinds(order))[2:]) == ["bust", "fill", "fill"]


@pytest.mark.parametrize("part", ["orders", "executions", "feed"])
async def test_bust_is_booked_once_whatever_died_before_it_was(scene: Scene, part: str) -> None:
    order = await placed(scene.alice, TEN)
    execution = await executed(scene, order, 4)
    await scene.until(order, "partially_filled", 4)
    for row in scene.stack.rows():
        if row["name"].startswith(part):
            scene.stack.kill(row["name"])
    await bust(scene, execution)
    await scene.execute(order, 6)

    await scene.agrees(order, "filled", 6)
    assert sorted((await scene.kinds(order))[2:]) == ["bust", "fill", "fill"]
    await scene.stack.wait_ready()


async def test_what_an_owner_cannot_give_back_is_the_firms_and_the_operator_sees_why(
    scene: Scene, operator: Account
) -> None:
    order = await placed(scene.alice, TEN)
    execution = await executed(scene, order, 10)
    await scene.until(order, "filled", 10)
    shares = (await balances(scene.alice))["IBM"]
    sale = await placed(scene.alice, SALE | {"numShares": shares - 3})
    await scene.execute(sale, shares - 3, 100_000)
    await scene.until(sale, "filled", shares - 3)
    await bust(scene, execution)
    await scene.until(order, "filled", 7)

    account = (await operator.http.get("/ops/error-account")).json()
    [item] = [one for one in account["items"] if one["orderId"] == order["id"]]
    assert item["cause"] == "uncovered-bust"
    assert (item["executionId"], item["orderId"]) == (execution, order["id"])
    assert (item["userId"], item["symbol"]) == (scene.alice.user, "IBM")
    assert (item["amountInCents"], item["shares"]) == (700, -7)
    assert {total["cause"] for total in account["totals"]} >= {"uncovered-bust"}
    portfolio = (await scene.alice.http.get("/portfolio")).json()
    assert "IBM" not in {position["symbol"] for position in portfolio["positions"]}
    [one] = await listed(scene.alice, orderId=order["id"])
    assert (one["status"], one["shares"], one["notionalInCents"]) == ("busted", 7, 700)
    assert await differences(scene.stack, order, sale) == []


async def test_the_error_account_is_read_page_by_page_by_operators_only(
    scene: Scene, operator: Account
) -> None:
    order = await placed(scene.alice, TEN)
    for shares in (10, 1, 2):  # the second and the third are too much
        await scene.execute(order, shares)

    async def both() -> list[dict[str, Any]]:
        seen: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            query = {"limit": 1} | ({"cursor": cursor} if cursor else {})
            answer = await operator.http.get("/ops/error-account", params=query)
            assert answer.status_code == 200, answer.text
            seen += answer.json()["items"]
            cursor = answer.json()["nextCursor"]
        mine = [item for item in seen if item["orderId"] == order["id"]]
        assert [(one["cause"], one["shares"], one["amountInCents"]) for one in mine] == [
            ("overfill", 2, -200),
            ("overfill", 1, -100),
        ]
        return mine

    await eventually(both, "the firm has what was too much", 60)
    refused = await scene.alice.http.get("/ops/error-account")
    odd = await operator.http.get("/ops/error-account", params={"cursor": "nonsense"})
    assert (refused.status_code, refused.json()["code"]) == (403, "operator-only")
    assert (odd.status_code, odd.json()["code"]) == (422, "invalid-request")


async def test_executions_are_listed_newest_first_by_page_symbol_and_order(
    scene: Scene,
) -> None:
    order = await placed(scene.alice, TEN)
    await scene.execute(order, 4, 98)
    await scene.execute(order, 6, 100)
    await scene.until(order, "filled", 10)
    sale = await placed(scene.alice, SALE)
    await scene.execute(sale, 1, 100_007)
    await scene.until(sale, "filled", 1)
    theirs = await executions_of(scene.exchange, order["externalOrderId"])

    whole = (await scene.alice.http.get("/executions")).json()
    paged: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        page = (await scene.alice.http.get("/executions", params=query)).json()
        paged += page["items"]
        cursor = page["nextCursor"]

    assert paged == whole["items"]
    assert [one["orderId"] for one in paged] == [sale["id"], order["id"], order["id"]]
    assert [one["id"] for one in reversed(paged[1:])] == [one["executionId"] for one in theirs]
    assert whole["asOfSeq"] == (await scene.alice.http.get("/portfolio")).json()["asOfSeq"]
    assert [one["priceImprovementInCents"] for one in paged] == [7, 0, 8]
    assert await listed(scene.alice, orderId=sale["id"]) == paged[:1]
    assert await listed(scene.alice, symbol="SPY") == []
    assert await listed(scene.alice, symbol="IBM", orderId=order["id"]) == paged[1:]


async def test_nobody_sees_the_executions_of_another_and_a_foreign_cursor_is_refused(
    scene: Scene,
) -> None:
    order = await placed(scene.alice, TEN)
    await scene.execute(order, 10)
    await scene.until(order, "filled", 10)

    async with account(scene.stack.api_url) as bob:
        assert await listed(bob, orderId=order["id"]) == []
        odd = await bob.http.get("/executions", params={"cursor": "nonsense"})
    assert (odd.status_code, odd.json()["code"]) == (422, "invalid-request")


async def test_the_client_reads_executions_and_error_account(
    scene: Scene, operator: Account
) -> None:
    order = await placed(scene.alice, TEN)
    await scene.execute(order, 11)
    await scene.until(order, "filled", 10)

    api, mine = scene.stack.api_url, BearerToken(scene.alice.token)
    async with Sherwood(api, auth=mine) as sherwood:
        [one] = (await sherwood.executions(symbol="IBM", limit=1)).items
    async with Sherwood(api, auth=BearerToken(operator.token)) as sherwood:
        borne = (await sherwood.ops.error_account()).items
    [newest] = [each for each in borne if str(each.order_id) == order["id"]]

    assert (one.shares, one.notional_cents, one.status, one.was) == (10, 1_000, "booked", None)
    assert (newest.cause, newest.shares, newest.execution_id) == ("overfill", 1, one.id)
