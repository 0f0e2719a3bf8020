"""Operators set limits and states over HTTP; every change is kept with its author and reason."""

import asyncio
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import pytest

from brokerage.domain.limits import LIMITS
from tests.support.accounts import Account
from tests.support.eventually import eventually
from tests.support.trading import cancelled, decided

WHY = "a test of limits"
RESTING: dict[str, Any] = {
    "position": "buy",
    "symbol": "SPY",
    "priceInCents": 100,
    "numShares": 10,
    "timeInForce": "gtc",
}


async def place(alice: Account, **changes: Any) -> httpx.Response:
    return await decided(alice, RESTING | changes, str(uuid4()))


async def all_limits(operator: Account) -> list[dict[str, Any]]:
    """Every limit; other tests have some for their users."""
    found: list[dict[str, Any]] = []
    query: dict[str, str] = {}
    while query.get("cursor", "first"):
        page = (await operator.http.get("/ops/limits", params=query)).json()
        found += page["items"]
        query["cursor"] = page["nextCursor"]
    return found


def code_of(answer: httpx.Response) -> str:
    code = answer.json()["code"]
    assert isinstance(code, str)
    return code


# -- limits ------------------------------------------------------------------------------------


async def test_every_limit_has_a_value_for_everybody(operator: Account) -> None:
    everybodys = [one for one in await all_limits(operator) if one["subject"] is None]

    assert {one["name"] for one in everybodys} == set(LIMITS)
    for one in everybodys:
        assert LIMITS[one["name"]].minimum <= one["value"] <= LIMITS[one["name"]].maximum


async def test_limits_are_listed_page_by_page(operator: Account) -> None:
    whole = await all_limits(operator)
    seen: list[dict[str, object]] = []
    query: dict[str, str | int] = {"limit": 2}
    while query.get("cursor", "first"):
        page = (await operator.http.get("/ops/limits", params=query)).json()
        assert len(page["items"]) <= 2
        seen += page["items"]
        query["cursor"] = page["nextCursor"]

    assert [one for one in seen if one["subject"] is None] == (
        [one for one in whole if one["subject"] is None]
    )


async def test_a_user_s_own_limit_counts_for_the_next_order_until_it_is_dropped(
    operator: Account, alice: Account
) -> None:
    path = f"/ops/limits/order-shares/{alice.user}"
    change = await operator.http.put(path, json={"value": 9, "reason": WHY})
    own = (await operator.http.get("/ops/limits", params={"subject": alice.user})).json()
    refused = await place(alice)

    dropped = await operator.http.request("DELETE", path, json={"reason": WHY})
    again = await operator.http.request("DELETE", path, json={"reason": WHY})

    assert (change.status_code, change.json()) == (
        (200, {"name": "order-shares", "subject": alice.user, "value": 9})
    )
    assert own == {"items": [change.json()], "nextCursor": None}
    assert (refused.status_code, code_of(refused)) == (422, "order-too-large")
    assert (refused.json()["required"], refused.json()["available"]) == (10, 9)
    assert (dropped.status_code, dropped.content) == (204, b"")
    assert (again.status_code, code_of(again)) == (404, "limit-not-found")
    assert (await place(alice)).status_code == 201


async def test_a_symbol_s_cap_counts_positions_and_open_buys(
    operator: Account, alice: Account
) -> None:
    path = "/ops/limits/position-shares/CVX"
    await operator.http.put(path, json={"value": 15, "reason": WHY})
    try:
        first = await place(alice, symbol="CVX")
        over = await place(alice, symbol="CVX", numShares=6)
        within = await place(alice, symbol="CVX", numShares=5)
    finally:
        await operator.http.request("DELETE", path, json={"reason": WHY})

    assert (first.status_code, within.status_code) == (201, 201)
    assert (over.status_code, code_of(over)) == (422, "position-limit")
    assert (over.json()["required"], over.json()["available"]) == (6, 5)
    assert over.json()["order"]["status"] == "rejected"


async def test_everybody_s_limit_can_be_set(operator: Account) -> None:
    listed = await all_limits(operator)
    [now] = [one for one in listed if (one["name"], one["subject"]) == ("order-shares", None)]

    same = await operator.http.put(
        "/ops/limits/order-shares", json={"value": now["value"], "reason": WHY}
    )

    assert (same.status_code, same.json()) == (200, now)


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("order-socks", {"value": 1, "reason": WHY}, "limit-not-found"),
        ("global-orders-per-second/alice", {"value": 1, "reason": WHY}, "limit-not-found"),
        ("order-shares/nobody-has-this-name", {"value": 1, "reason": WHY}, "account-not-found"),
        ("order-shares/no%00body", {"value": 1, "reason": WHY}, "account-not-found"),
        ("position-shares/NOSUCH", {"value": 1, "reason": WHY}, "symbol-not-found"),
        ("order-shares", {"value": -1, "reason": WHY}, "limit-out-of-bounds"),
        ("order-shares", {"value": 10**9 + 1, "reason": WHY}, "limit-out-of-bounds"),
        ("user-orders-burst", {"value": 0, "reason": WHY}, "limit-out-of-bounds"),
        ("order-shares", {"value": 1.0, "reason": WHY}, "invalid-request"),
        ("order-shares", {"value": "1", "reason": WHY}, "invalid-request"),
        ("order-shares", {"value": 1}, "invalid-request"),
        ("order-shares", {"value": 1, "reason": " "}, "invalid-request"),
        ("order-shares", {"value": 1, "reason": "x" * 501}, "invalid-request"),
        ("order-shares", {"value": 1, "reason": WHY, "by": "me"}, "unknown-field"),
    ],
)
async def test_a_limit_that_is_none_is_refused_and_changes_nothing(
    operator: Account, path: str, body: dict[str, object], code: str
) -> None:
    before = await all_limits(operator)

    refused = await operator.http.put(f"/ops/limits/{path}", json=body)

    assert code_of(refused) == code
    after = await all_limits(operator)
    everybodys = [one for one in before if one["subject"] is None]
    assert [one for one in after if one["subject"] is None] == everybodys
    acts = (await operator.http.get("/ops/acts", params={"limit": 200})).json()["items"]
    assert operator.user not in {act["operator"] for act in acts}


# -- states ------------------------------------------------------------------------------------


async def test_an_account_opens_active(operator: Account, alice: Account) -> None:
    shown = (await operator.http.get(f"/ops/accounts/{alice.user}")).json()

    assert (shown["userId"], shown["state"], shown["asOfSeq"]) == (alice.user, "active", 0)


async def test_a_frozen_account_places_nothing_and_cancels(
    operator: Account, alice: Account
) -> None:
    resting = await place(alice)
    path = f"/ops/accounts/{alice.user}"
    frozen = await operator.http.put(path, json={"state": "frozen", "reason": WHY})

    refused = await place(alice)
    gone = await cancelled(alice, resting.json()["id"])
    await operator.http.put(path, json={"state": "active", "reason": WHY})

    assert (frozen.status_code, frozen.json()["state"]) == (200, "frozen")
    assert (refused.status_code, code_of(refused)) == (422, "account-frozen")
    assert refused.json()["order"]["status"] == "rejected"
    assert gone["status"] == "cancelled"
    assert (await place(alice)).status_code == 201


async def test_a_close_only_account_sells_what_it_has(operator: Account, alice: Account) -> None:
    path = f"/ops/accounts/{alice.user}"
    await operator.http.put(path, json={"state": "close-only", "reason": WHY})
    high = {"position": "sell", "priceInCents": 1_000_000}

    buy = await place(alice)
    sell = await place(alice, **high, numShares=100)
    too_much = await place(alice, **high, numShares=1)

    assert (buy.status_code, code_of(buy)) == (422, "account-close-only")
    assert sell.status_code == 201
    assert (too_much.status_code, code_of(too_much)) == (422, "insufficient-shares")


@pytest.mark.parametrize(
    ("user", "body", "code"),
    [
        ("nobody-has-this-name", {"state": "frozen", "reason": WHY}, "account-not-found"),
        ("no%00body", {"state": "frozen", "reason": WHY}, "account-not-found"),
        ("alice", {"state": "melted", "reason": WHY}, "invalid-request"),
        ("alice", {"state": "frozen"}, "invalid-request"),
    ],
)
async def test_a_state_that_is_none_is_refused(
    operator: Account, user: str, body: dict[str, object], code: str
) -> None:
    refused = await operator.http.put(f"/ops/accounts/{user}", json=body)

    assert code_of(refused) == code


async def test_an_account_of_nobody_cannot_be_read(operator: Account) -> None:
    for user in ("nobody-has-this-name", "no%00body"):
        assert code_of(await operator.http.get(f"/ops/accounts/{user}")) == "account-not-found"


# -- acts --------------------------------------------------------------------------------------


async def test_every_change_is_kept_with_who_what_when_and_why(
    operator: Account, alice: Account
) -> None:
    limit = f"/ops/limits/order-shares/{alice.user}"
    await operator.http.put(limit, json={"value": 9, "reason": "less"})
    await operator.http.put(limit, json={"value": 8, "reason": "still less"})
    await operator.http.request("DELETE", limit, json={"reason": "as everybody"})
    await operator.http.put(
        f"/ops/accounts/{alice.user}", json={"state": "frozen", "reason": "a court order"}
    )

    kept = (await operator.http.get("/ops/acts", params={"subject": alice.user})).json()

    changes = [(one["act"], one["before"], one["after"], one["reason"]) for one in kept["items"]]
    assert changes == [
        ("account-state", "active", "frozen", "a court order"),
        ("limit order-shares", 8, None, "as everybody"),
        ("limit order-shares", 9, 8, "still less"),
        ("limit order-shares", None, 9, "less"),
    ]
    assert {(one["operator"], one["address"], one["subject"]) for one in kept["items"]} == (
        {(operator.user, "127.0.0.1", alice.user)}
    )
    assert kept["nextCursor"] is None
    times = [one["at"] for one in kept["items"]]
    assert times == sorted(times, reverse=True)


async def test_changes_are_listed_page_by_page(operator: Account, alice: Account) -> None:
    path = f"/ops/limits/order-shares/{alice.user}"
    for value in range(5):
        await operator.http.put(path, json={"value": value, "reason": WHY})

    seen: list[int] = []
    query: dict[str, str | int] = {"subject": alice.user, "limit": 2}
    while query.get("cursor", "first"):
        page = (await operator.http.get("/ops/acts", params=query)).json()
        assert len(page["items"]) <= 2
        seen += [one["after"] for one in page["items"]]
        query["cursor"] = page["nextCursor"]

    assert seen == [4, 3, 2, 1, 0]


async def test_changes_at_once_are_a_chain_without_a_gap(operator: Account, alice: Account) -> None:
    path = f"/ops/limits/order-shares/{alice.user}"

    async def is_set(value: int) -> None:
        # Half a second is the longest that one waits for the others.
        answer = await operator.http.put(path, json={"value": value, "reason": WHY})
        assert answer.status_code == 200, answer.text

    async with asyncio.TaskGroup() as tasks:
        for value in range(1, 9):
            tasks.create_task(eventually(partial(is_set, value), "the change is made"))

    acts = (await operator.http.get("/ops/acts", params={"subject": alice.user})).json()["items"]
    chain = [(one["before"], one["after"]) for one in reversed(acts)]
    assert {after for _, after in chain} == set(range(1, 9))
    assert [before for before, _ in chain] == [None, *(after for _, after in chain[:-1])]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/ops/limits"),
        ("PUT", "/ops/limits/order-shares"),
        ("PUT", "/ops/limits/order-shares/alice"),
        ("DELETE", "/ops/limits/order-shares/alice"),
        ("GET", "/ops/accounts/alice"),
        ("PUT", "/ops/accounts/alice"),
        ("GET", "/ops/acts"),
    ],
)
async def test_who_is_no_operator_may_not_look_or_change(
    alice: Account, method: str, path: str
) -> None:
    refused = await alice.http.request(
        method, path, json={"value": 1, "state": "frozen", "reason": WHY}
    )

    assert (refused.status_code, code_of(refused)) == (403, "operator-only")
