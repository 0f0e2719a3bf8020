"""The timeline of an order and the dead letters, on a whole stack."""

import json
from collections.abc import AsyncIterator
from functools import partial
from uuid import uuid4

import httpx
import pytest

from brokerage.bus.connection import Bus, open_bus
from brokerage.bus.dead_letters import DeadLetters
from brokerage.bus.executions import Parking
from brokerage.contracts.ids import account_ref_for, order_id_for
from client.auth import BearerToken
from client.sherwood import Sherwood
from devstack.stack import DevStack
from tests.support.accounts import Account
from tests.support.eventually import eventually
from tests.support.exchange_member import Member, placement
from tests.support.exchange_rules import MEMBER, executions_of
from tests.support.race import TEN, Scene, race
from tests.support.trading import placed

REASON = {"reason": "agreed with the exchange"}
LETTERS_MAX = 200
"""Those of other tests come first."""


@pytest.fixture
async def scene(stack: DevStack) -> AsyncIterator[Scene]:
    async with race(stack) as scene:
        yield scene


@pytest.fixture
async def bus(stack: DevStack) -> AsyncIterator[Bus]:
    async with open_bus(stack.env["SHERWOOD_NATS_URL"], "test") as bus:
        yield bus


async def test_a_whole_life_is_told_in_its_order_and_proved(
    scene: Scene, operator: Account
) -> None:
    order = await placed(scene.alice, TEN)
    await scene.execute(order, 4)
    await scene.until(order, "partially_filled", 4)

    async def is_asked() -> bool:
        return (await scene.cancel(order)).status_code in (200, 202)

    await eventually(is_asked, "the cancel is on record", 60)
    await scene.until(order, "cancelled", 4)

    timeline = (await operator.http.get(f"/ops/orders/{order['id']}/timeline")).json()

    assert timeline["tampered"] == []
    assert (timeline["userId"], timeline["status"]) == (scene.alice.user, "cancelled")
    assert timeline["workflowId"] == f"order-{order['id']}"
    assert [item["link"] for item in timeline["items"]] == [*range(1, timeline["links"] + 1)]
    # A note is of an attempt that the machine was too slow to hear the answer of.
    events = [item for item in timeline["items"] if item["type"] == "event"]
    assert [item["kind"] for item in events] == [
        *("placed", "submitted", "fill", "cancel-requested", "cancelled")
    ]
    placing, sending, filling, asking, ending = events
    assert placing["actor"] == asking["actor"] == scene.alice.user
    assert placing["address"] == asking["address"] == "127.0.0.1"
    assert set(placing["detail"]["claim"]) == {"key", "claimedAt", "lastPriceInCents"}
    assert all(item["detail"]["run"]["runId"] for item in timeline["items"])
    asked = sending["detail"]["exchange"]
    # Asked what became of it, where the answer to the placement did not come in time.
    assert [one["asked"] for one in asked] in (["place"], ["place", "query"], ["query"])
    sent = asked[-1]
    assert sent["answer"]["outcome"] == ("found" if sent["asked"] == "query" else "accepted")
    assert sent["request"]["clientOrderId"] == order["id"]
    assert sent["askedAt"] <= sent["answeredAt"] <= sending["at"]
    assert sending["detail"]["replyStatus"] == 201
    [execution] = await executions_of(scene.exchange, order["externalOrderId"])
    assert filling["report"]["id"] == execution["executionId"]
    assert filling["report"]["feedSeq"] > 0
    assert sorted(entry["amount"] for entry in filling["entries"]) == [-400, -4, 4, 400]
    [cancelled] = ending["detail"]["exchange"]
    assert cancelled["asked"] == "cancel"


async def test_an_owner_sees_what_happened_and_nothing_that_is_not_his(
    scene: Scene, operator: Account
) -> None:
    order = await placed(scene.alice, TEN)
    await scene.execute(order, 10)
    await scene.until(order, "filled", 10)
    path = f"/order/{order['id']}/events"

    first = (await scene.alice.http.get(path, params={"limit": 2})).json()
    rest = (await scene.alice.http.get(path, params={"cursor": first["nextCursor"]})).json()
    foreign = await operator.http.get(path)
    none = await scene.alice.http.get(f"/order/{uuid4()}/events")
    denied = await scene.alice.http.get(f"/ops/orders/{order['id']}/timeline")
    unknown = await operator.http.get(f"/ops/orders/{uuid4()}/timeline")

    told = first["items"] + rest["items"]
    assert [(one["kind"], one["by"], one["address"]) for one in told] == [
        ("placed", "you", "127.0.0.1"),
        ("submitted", "exchange", None),
        ("fill", "exchange", None),
    ]
    assert rest["nextCursor"] is None
    assert "runId" not in json.dumps(told)
    for answer in (foreign, none, unknown):
        assert (answer.status_code, answer.json()["code"]) == (404, "order-not-found")
    assert denied.json()["code"] == "operator-only"


async def test_the_trails_of_all_orders_are_verified_page_by_page(
    scene: Scene, operator: Account
) -> None:
    mine = {(await placed(scene.alice, TEN))["id"] for _ in range(2)}
    async with Sherwood(scene.stack.api_url, auth=BearerToken(operator.token)) as sherwood:
        orders, cursor = 0, None
        while True:
            answer = await operator.http.get(
                "/ops/trails/verification",
                params={"limit": 1} | ({"cursor": cursor} if cursor else {}),
            )
            page = answer.json()
            assert page["tampered"] == []
            orders, cursor = orders + page["orders"], page["nextCursor"]
            if cursor is None:
                break
        verified = await sherwood.ops.trails.verify()

    assert orders >= len(mine)
    assert verified.tampered == ()


async def test_a_letter_whose_order_turns_up_is_replayed_and_booked_once(
    scene: Scene, operator: Account, bus: Bus
) -> None:
    key, letters = str(uuid4()), DeadLetters(bus)
    order_id = order_id_for(scene.alice.user, key)
    member = Member(scene.stack.exchange_url, MEMBER, scene.exchange)
    # As after a loss of ours: the exchange has the order, and nobody here knows of it.
    reply = await member.place(
        placement(
            TEN["symbol"],
            client_order_id=order_id,
            account=account_ref_for(scene.alice.user),
            price_cents=TEN["priceInCents"],
            shares=10,
            time_in_force="gtc",
        )
    )
    assert reply.order is not None
    external = reply.order.order_id
    await scene.execute({"externalOrderId": external}, 10)
    await bury(bus, external)

    await eventually(partial(alarmed, scene.stack), "the executions process counts it", 60)
    page = (await operator.http.get("/ops/dead-letters", params={"limit": LETTERS_MAX})).json()
    [letter] = [one for one in page["items"] if one["externalOrderId"] == external]
    assert (letter["why"], letter["payload"]["shares"]) == ("no-order-of-ours", 10)
    assert page["waiting"] >= 1
    path = f"/ops/dead-letters/{letter['id']}"

    async def is_nobodys() -> None:
        # Undecided while the exchange gives no answer in time.
        assert (await operator.http.get(path)).json()["verdict"] == "nobodys"

    await eventually(is_nobodys, "the exchange says so")

    order = await placed(scene.alice, TEN, key)
    assert order["id"] == order_id
    explained = (await operator.http.get(path)).json()
    assert (explained["verdict"], explained["orderId"]) == ("ours", order_id)
    kept = await operator.http.request("DELETE", path, json=REASON)
    assert (kept.status_code, kept.json()["code"]) == (409, "dead-letter-is-ours")

    found = await letters.letter(letter["id"])
    assert found is not None
    assert (await operator.http.post(f"{path}/replay", json=REASON)).json()["replayed"] == 1
    # Who does not know whether it worked does it again.
    await letters.replay(found)

    await scene.agrees(order, "filled", 10)
    assert (await scene.kinds(order)).count("fill") == 1
    gone = await operator.http.get(path)
    assert (gone.status_code, gone.json()["code"]) == (404, "dead-letter-not-found")
    timeline = (await operator.http.get(f"/ops/orders/{order_id}/timeline")).json()
    assert [(act["act"], act["operator"]) for act in timeline["acts"]] == [
        ("replay-dead-letter", operator.user)
    ]
    assert timeline["tampered"] == []


async def test_a_letter_that_stays_nobodys_is_kept_until_it_is_discarded(
    scene: Scene, operator: Account, bus: Bus
) -> None:
    member = Member(scene.stack.exchange_url, MEMBER, scene.exchange)
    reply = await member.place(
        placement(TEN["symbol"], price_cents=TEN["priceInCents"], time_in_force="gtc")
    )
    assert reply.order is not None
    external = reply.order.order_id
    await scene.execute({"externalOrderId": external}, 10)
    await bury(bus, external)
    async with Sherwood(scene.stack.api_url, auth=BearerToken(operator.token)) as sherwood:
        dead = sherwood.ops.dead_letters
        sent = await dead.replay(reason="to see")
        assert sent.replayed >= 1

        await bury(bus, external)

        letters = (await dead.list(limit=LETTERS_MAX)).items
        [letter] = [one for one in letters if one.external_order_id == external]

        async def is_nobodys() -> None:
            # Undecided while the exchange gives no answer in time.
            assert (await dead.explain(letter.id)).verdict == "nobodys"

        await eventually(is_nobodys, "the exchange says so")
        await dead.discard(letter.id, reason="not ours, says the exchange")
        left = {one.external_order_id for one in (await dead.list(limit=LETTERS_MAX)).items}

    assert external not in left
    acts = (await operator.http.get("/ops/acts", params={"subject": external})).json()["items"]
    assert [act["act"] for act in acts] == ["discard-dead-letter", "replay-dead-letter"]
    assert json.loads(acts[0]["before"])["external_order_id"] == external


async def test_only_operators_see_dead_letters(scene: Scene) -> None:
    answer = await scene.alice.http.get("/ops/dead-letters")

    assert (answer.status_code, answer.json()["code"]) == (403, "operator-only")


async def alarmed(stack: DevStack) -> bool:
    """True once a process of ours exports that a letter waits."""
    addresses = [
        process.spec.address
        for name, process in stack.processes.items()
        if name.startswith("executions")
    ]
    async with httpx.AsyncClient(trust_env=False, follow_redirects=True, timeout=30) as http:
        texts = [(await http.get(f"{address}/metrics")).text for address in addresses]
    return any(
        line.startswith("sherwood_dead_letters ") and float(line.split()[1]) > 0
        for text in texts
        for line in text.splitlines()
    )


async def bury(bus: Bus, external_order_id: str) -> None:
    """What becomes of a parked report after its grace; here at once."""
    parking = Parking(bus)

    async def parked() -> bool:
        return bool(await parking.of(external_order_id, 10))

    await eventually(parked, "the report is parked")
    for delivery in await parking.of(external_order_id, 10):
        await parking.bury(delivery, "no-order-of-ours")
        await delivery.settle()
