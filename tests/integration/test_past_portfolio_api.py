"""`GET /portfolio?asOfSeq=`: the account as it was after any event, over HTTP."""

from typing import Any

import asyncpg
import pytest

from devstack.stack import DevStack
from tests.support.accounts import Account
from tests.support.books import forget_balances
from tests.support.trading import RESTING, cancelled, placed

BALANCES = ("cashInCents", "heldCashInCents", "buyingPowerInCents", "asOfSeq")


async def portfolio(alice: Account, **params: int) -> dict[str, Any]:
    answer = await alice.http.get("/portfolio", params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def balances(body: dict[str, Any]) -> dict[str, Any]:
    """What does not depend on prices."""
    positions = {one["symbol"]: (one["shares"], one["heldShares"]) for one in body["positions"]}
    return {name: body[name] for name in BALANCES} | positions


async def test_portfolio_after_any_event_is_what_was_answered_then(alice: Account) -> None:
    opening = await portfolio(alice)
    order = await placed(alice, {**RESTING, "priceInCents": 15_000, "numShares": 10})
    after_placing = await portfolio(alice)
    await cancelled(alice, order["id"])
    after_cancelling = await portfolio(alice)

    assert after_placing["heldCashInCents"] == 150_000
    for then in (opening, after_placing, after_cancelling):
        past = await portfolio(alice, asOfSeq=then["asOfSeq"])
        assert balances(past) == balances(then)
        assert past["totalValueInCents"] is None, "prices of today are no prices of then"


async def test_event_that_never_was_is_refused_with_the_last_one(alice: Account) -> None:
    answer = await alice.http.get("/portfolio", params={"asOfSeq": 1})

    assert (answer.status_code, answer.json()["code"]) == (422, "seq-ahead-of-log")
    assert answer.json()["lastSeq"] == 0


async def test_account_from_before_balances_were_kept_is_not_guessed(
    stack: DevStack, alice: Account
) -> None:
    await placed(alice, RESTING)
    database = await asyncpg.connect(stack.env["SHERWOOD_DATABASE_URL"])
    try:
        await forget_balances(database, alice.user)
    finally:
        await database.close()

    answer = await alice.http.get("/portfolio", params={"asOfSeq": 1})

    assert (answer.status_code, answer.json()["code"]) == (422, "balances-not-kept")


@pytest.mark.parametrize("seq", ["-1", "x", "1.5", str(2**53)])
async def test_what_is_no_sequence_is_refused(alice: Account, seq: str) -> None:
    answer = await alice.http.get("/portfolio", params={"asOfSeq": seq})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
