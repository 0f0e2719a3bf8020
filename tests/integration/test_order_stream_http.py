"""`GET /orders/stream` and `GET /orders/events` over HTTP: one log, told twice."""

import asyncio
from typing import Any

import pytest

from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.eventually import eventually
from tests.support.order_follower import PATH, OrderFollower, following, place_resting
from tests.support.trading import (
    END_SECONDS,
    MARKET,
    asked_to_cancel,
    cancelled,
    no_rate_limit,
    placed,
)


async def log_of(user: Account, **params: Any) -> list[dict[str, Any]]:
    """All pages of the log."""
    items: list[dict[str, Any]] = []
    while True:
        after = items[-1]["seq"] if items else 0
        page = await shown(user, "/orders/events", after=after, **params)
        items += page["items"]
        if not page["items"]:
            return items


async def shown(user: Account, path: str, **params: Any) -> dict[str, Any]:
    """What is read there; asked again where the machine is too busy."""

    async def attempt() -> dict[str, Any]:
        answer = await user.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    found: dict[str, Any] = await eventually(attempt, f"{path} is shown")
    return found


async def test_stream_tells_what_happens_from_now_on(alice: Account) -> None:
    await place_resting(alice.http)
    async with following(alice.http) as follower:
        order = await place_resting(alice.http)
        await follower.has_heard(4)

    assert follower.seqs == [3, 4]
    assert [event["kind"] for event in follower.told("order")] == ["placed", "submitted"]
    assert follower.told("order")[1]["order"] == order
    hello = follower.events[0]
    assert (hello.event, hello.id) == ("hello", "2"), "an EventSource comes back to here"
    assert 1_000 <= (hello.retry or 0) <= 5_000


async def test_stream_after_zero_tells_everything_and_goes_on(alice: Account) -> None:
    await place_resting(alice.http)
    async with following(alice.http, {"after": 0}) as follower:
        await follower.has_heard(2)
        await place_resting(alice.http)
        await follower.has_heard(4)

    assert follower.seqs == [1, 2, 3, 4]
    assert follower.told("order") == await log_of(alice)


async def test_what_was_heard_last_wins_over_the_address(alice: Account) -> None:
    await place_resting(alice.http)

    async with following(alice.http, {"after": 0}, {"last-event-id": "1"}) as follower:
        await follower.has_heard(2)

    assert follower.seqs == [2]


async def test_stream_of_who_knows_more_than_there_is_resets_and_goes_on(alice: Account) -> None:
    await place_resting(alice.http)
    async with following(alice.http, {"after": 99}) as follower:
        await eventually(lambda: bool(follower.told("reset")), "it is told")
        await place_resting(alice.http)
        await follower.has_heard(4)

    assert follower.told("reset") == [{"lastSeq": 2}]
    assert follower.seqs == [3, 4]


async def test_fill_comes_with_its_execution(alice: Account) -> None:
    async with following(alice.http) as follower:
        await placed(alice, MARKET)
        await eventually(
            lambda: any(event["order"]["status"] == "filled" for event in follower.told("order")),
            "the order is filled",
        )

    fills = [event for event in follower.told("order") if event["kind"] == "fill"]
    others = [event for event in follower.told("order") if event["kind"] != "fill"]
    assert [event["execution"] for event in others] == [None] * len(others)
    assert sum(fill["execution"]["bookedShares"] for fill in fills) == 2
    assert fills[-1]["order"]["filledNotionalInCents"] == sum(
        fill["execution"]["shares"] * fill["execution"]["priceInCents"] for fill in fills
    )
    assert len({fill["execution"]["id"] for fill in fills}) == len(fills)


async def test_heartbeat_says_how_far_the_log_goes(alice: Account) -> None:
    async with following(alice.http) as follower:
        await place_resting(alice.http)
        await eventually(lambda: {"lastSeq": 2} in follower.told("heartbeat"), "a beat says 2")

    at = next(place for place, event in enumerate(follower.events) if event.data == '{"lastSeq":2}')
    assert [event.id for event in follower.events[:at] if event.event == "order"] == ["1", "2"]


async def test_list_then_stream_has_no_hole_while_orders_are_placed(
    stack: DevStack, alice: Account
) -> None:
    await no_rate_limit(stack, alice)
    done = asyncio.Event()
    # However late the list comes, they all are on one page of it, and some come after it.
    may_place = asyncio.Semaphore(30)

    async def keep_placing() -> None:
        while not done.is_set():
            await may_place.acquire()
            await place_resting(alice.http)

    async with asyncio.TaskGroup() as tasks:
        placing = tasks.create_task(keep_placing())
        await eventually(lambda: _orders_are(alice, 3), "some orders are there")
        page = await shown(alice, "/orders", limit=200)
        for _ in range(30):
            may_place.release()
        async with following(alice.http, {"after": page["asOfSeq"]}) as follower:
            await follower.has_heard(page["asOfSeq"] + 5)
            done.set()
            may_place.release()
            await placing
            final = await shown(alice, "/orders", limit=200)
            await follower.has_heard(final["asOfSeq"])

    known = {order["id"]: order for order in page["items"]}
    for event in follower.told("order"):
        before = known.get(event["order"]["id"])
        # Each event is the very next one of its order, the first one where the list had none.
        assert event["order"]["version"] == (before["version"] + 1 if before else 1)
        known[event["order"]["id"]] = event["order"]
    assert known == {order["id"]: order for order in final["items"]}


async def _orders_are(alice: Account, number: int) -> bool:
    return len((await shown(alice, "/orders"))["items"]) >= number


async def test_page_of_one_order_has_its_events_only(alice: Account) -> None:
    first = await place_resting(alice.http)
    await place_resting(alice.http)
    await cancelled(alice, first["id"])

    everything = await log_of(alice)
    mine = await log_of(alice, orderId=first["id"])

    assert [event["seq"] for event in everything] == list(range(1, len(everything) + 1))
    assert mine == [event for event in everything if event["order"]["id"] == first["id"]]
    assert mine[-1]["order"]["status"] == "cancelled"


async def test_pages_of_any_size_are_the_same_log(alice: Account) -> None:
    for _ in range(2):
        await place_resting(alice.http)

    pages = [await log_of(alice, limit=limit) for limit in (1, 3, 50)]

    assert pages[0] == pages[1] == pages[2]
    assert len(pages[0]) == 4


async def test_pages_beyond_the_end_are_refused_with_the_end(alice: Account) -> None:
    await place_resting(alice.http)

    at_the_end = await alice.http.get("/orders/events", params={"after": 2})
    beyond = await alice.http.get("/orders/events", params={"after": 3})

    assert at_the_end.json() == {"items": [], "lastSeq": 2}
    assert (beyond.status_code, beyond.json()["code"]) == (422, "seq-ahead-of-log")
    assert beyond.json()["lastSeq"] == 2


async def test_nobody_hears_of_the_orders_of_others(stack: DevStack, alice: Account) -> None:
    async with account(stack.api_url) as bob, following(bob.http) as follower:
        order = await place_resting(alice.http)
        await place_resting(bob.http)
        await follower.has_heard(2)

        assert {event["order"]["id"] for event in follower.told("order")} != {order["id"]}
        assert await log_of(bob, orderId=order["id"]) == []


async def test_ticket_opens_one_stream_in_the_place_of_a_token(
    stack: DevStack, alice: Account
) -> None:
    signed = {"authorization": alice.http.headers.pop("authorization")}

    async def opens_one() -> tuple[str, OrderFollower]:
        # A new one each time: a ticket is good for ten seconds only.
        ticket = (await alice.http.post("/stream-ticket", headers=signed)).json()["ticket"]
        async with following(alice.http, {"ticket": ticket, "after": 0}) as follower:
            return ticket, follower

    ticket, follower = await eventually(opens_one, "a ticket opens a stream")
    again = await alice.http.get(PATH, params={"ticket": ticket})
    without = await alice.http.get(PATH)

    assert follower.events[0].event == "hello"
    assert (again.status_code, again.json()["code"]) == (401, "ticket-invalid")
    assert (without.status_code, without.json()["code"]) == (401, "token-missing")


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "", str(2**53)])
async def test_place_that_is_none_is_refused(alice: Account, after: str) -> None:
    by_address = await alice.http.get(PATH, params={"after": after})
    by_header = await alice.http.get(PATH, headers={"last-event-id": after})
    of_pages = await alice.http.get("/orders/events", params={"after": after})

    for answer in (by_address, by_header, of_pages):
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert by_header.json()["errors"][0]["in"] == "header"


async def test_without_nats_who_waits_and_who_streams_are_told_all_the_same(
    stack: DevStack, alice: Account
) -> None:
    order = await place_resting(alice.http)
    async with following(alice.http) as follower, asyncio.TaskGroup() as tasks:
        await stack.stop("nats")
        try:
            newer = tasks.create_task(
                alice.http.get(f"/order/{order['id']}", params={"afterVersion": order["version"]})
            )
            asked = await asked_to_cancel(alice, order["id"])
            await newer
            await follower.has_heard(3)
        finally:
            await stack.start("nats")
        await eventually(
            lambda: follower.told("order")[-1]["order"]["status"] == "cancelled",
            "it is cancelled",
            END_SECONDS,
        )

    assert asked.status_code == 202
    assert newer.result().json()["status"] == "pending_cancel"
    assert follower.seqs == list(range(3, 3 + len(follower.seqs)))
    assert follower.told("order")[0]["kind"] == "cancel-requested"
