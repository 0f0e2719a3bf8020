"""The dead-man switch: what it cancels, when, and that it does so after anything."""

import pytest

from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.eventually import eventually
from tests.support.trading import RESTING, at_database, ended, placed, read

PATH = "/orders/cancel-after"


async def arm(alice: Account, seconds: object) -> dict[str, object]:
    async def attempt() -> dict[str, object]:
        answer = await alice.http.post(PATH, json={"seconds": seconds})
        assert answer.status_code == 200, answer.text
        switch: dict[str, object] = answer.json()
        return switch

    armed: dict[str, object] = await eventually(attempt, f"it is armed for {seconds} s")
    return armed


async def shown(alice: Account) -> dict[str, object]:
    async def attempt() -> dict[str, object]:
        answer = await alice.http.get(PATH)
        assert answer.status_code == 200, answer.text
        switch: dict[str, object] = answer.json()
        return switch

    switch: dict[str, object] = await eventually(attempt, "it is shown")
    return switch


async def make_due(stack: DevStack, alice: Account) -> None:
    """As if the seconds had gone by."""
    await at_database(
        stack,
        "UPDATE cancel_after SET cancels_at = now(), look_at = now() "
        "WHERE user_id = $1 AND cancels_at IS NOT NULL",
        alice.user,
    )


async def test_it_goes_off_after_its_seconds_and_what_is_placed_later_stays(
    stack: DevStack, alice: Account
) -> None:
    never = await shown(alice)
    orders = [await placed(alice, RESTING) for _ in range(3)]
    armed = await arm(alice, 5)
    for order in orders:
        await ended(alice, order["id"], "cancelled")
    after = await placed(alice, RESTING)
    gone_off = await shown(alice)
    rows = await at_database(
        stack,
        "SELECT actor FROM order_events WHERE order_id = ANY ($1) AND kind LIKE '%cancel%' "
        "AND actor <> 'exchange'",
        [order["id"] for order in orders],
    )

    assert never == {**never, "armed": False, "wentOffAt": None}
    assert (armed["armed"], armed["seconds"], armed["armedFrom"]) == (True, 5, "127.0.0.1")
    assert (gone_off["armed"], gone_off["cancelsAt"]) == (False, None)
    assert str(gone_off["wentOffAt"]) >= str(armed["cancelsAt"])
    assert [row["actor"] for row in rows] == ["cancel-after"] * 3
    assert (await read(alice, after["id"]))["status"] == "submitted"


async def test_each_call_arms_it_anew_and_0_disarms(stack: DevStack, alice: Account) -> None:
    order = await placed(alice, RESTING)
    # Each far off: none of them may go off while this runs.
    await arm(alice, 600)
    first = await arm(alice, 3_600)
    second = await arm(alice, 86_400)
    assert str(first["cancelsAt"]) < str(second["cancelsAt"])
    off = await arm(alice, 0)
    await make_due(stack, alice)

    assert (off["armed"], off["seconds"], off["wentOffAt"]) == (False, None, None)
    # Another's goes off meanwhile: this one would have too.
    async with account(stack.api_url) as bob:
        others = await placed(bob, RESTING)
        await arm(bob, 60)
        await make_due(stack, bob)
        await ended(bob, others["id"], "cancelled")
    assert (await read(alice, order["id"]))["status"] == "submitted"


async def test_one_that_is_armed_anew_while_it_cancels_goes_off_again(
    stack: DevStack, alice: Account
) -> None:
    first = await placed(alice, RESTING)
    await arm(alice, 60)
    await make_due(stack, alice)
    await ended(alice, first["id"], "cancelled")
    second = await placed(alice, RESTING)
    await arm(alice, 60)
    await make_due(stack, alice)
    await ended(alice, second["id"], "cancelled")


async def test_it_survives_a_restart_of_everything(stack: DevStack, alice: Account) -> None:
    order = await placed(alice, RESTING)
    await arm(alice, 5)
    ours = [name for name in (row["name"] for row in stack.rows()) if name != "migrations"]
    for name in ours:
        stack.kill(name)

    async def back() -> bool:
        return (await alice.http.get(PATH)).is_success

    await eventually(back, "the API and its database are back", 180)
    await stack.wait_ready()
    await ended(alice, order["id"], "cancelled")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"seconds": 4}, "invalid-request"),
        ({"seconds": 86_401}, "invalid-request"),
        ({"seconds": -1}, "invalid-request"),
        ({"seconds": "60"}, "invalid-request"),
        ({"seconds": True}, "invalid-request"),
        ({}, "invalid-request"),
        ({"seconds": 60, "symbol": "IBM"}, "unknown-field"),
    ],
)
async def test_what_is_no_number_of_seconds_arms_nothing(
    alice: Account, body: dict[str, object], code: str
) -> None:
    answer = await alice.http.post(PATH, json=body)

    assert answer.json()["code"] == code
    assert (await shown(alice))["armed"] is False
