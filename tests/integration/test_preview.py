"""A preview says what placing the same order then does, and does nothing itself."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest

from devstack.stack import DevStack
from tests.support.accounts import Account
from tests.support.trading import decided, place, placed

WHY = "a test of previews"


def buy(shares: int = 1, price_cents: int | None = 100, **more: Any) -> dict[str, Any]:
    """A buy far below the market, unless another price is named."""
    order = {"position": "buy", "symbol": "SPY", "numShares": shares, "timeInForce": "day"}
    return order | ({} if price_cents is None else {"priceInCents": price_cents}) | more


def sell(shares: int = 1, price_cents: int | None = 1_000_000, **more: Any) -> dict[str, Any]:
    """A sell far above the market, unless another price is named."""
    return buy(shares, price_cents, position="sell", **more)


Setting = Callable[[Account, Account], Awaitable[None]]


async def as_it_is(alice: Account, operator: Account) -> None:
    """Nothing happened to the account yet."""


def state(name: str) -> Setting:
    """The account may not do everything."""

    async def set_state(alice: Account, operator: Account) -> None:
        path = f"/ops/accounts/{alice.user}"
        answer = await operator.http.put(path, json={"state": name, "reason": WHY})
        assert answer.status_code == 200

    return set_state


def capped(name: str, value: int) -> Setting:
    """An own limit of the user."""

    async def set_limit(alice: Account, operator: Account) -> None:
        path = f"/ops/limits/{name}/{alice.user}"
        answer = await operator.http.put(path, json={"value": value, "reason": WHY})
        assert answer.status_code == 200

    return set_limit


async def resting_sell(alice: Account, operator: Account) -> None:
    """An own sell rests above the market, where a buy may meet it."""
    await placed(alice, sell(price_cents=await at(alice, 110)))


async def at(alice: Account, percent: int) -> int:
    """A price at so many percent of the last one."""
    last: int = (await preview(alice, buy())).json()["lastPriceInCents"]
    return last * percent // 100


@dataclass(frozen=True)
class Case:
    """An order, what happened before, and all that speaks against it."""

    order: dict[str, Any]
    codes: list[str] = field(default_factory=list)
    setting: Setting = as_it_is


CASES = {
    "resting buy": Case(buy(10)),
    "resting sell": Case(sell(100)),
    "market buy": Case(buy(2, None)),
    "market sell": Case(sell(2, None, timeInForce="ioc")),
    "more shares than an order may have": Case(buy(100_001, 1), ["order-too-large"]),
    "worth more than an order may be": Case(
        sell(100_000, 200_000), ["order-too-large", "insufficient-shares"]
    ),
    "out of band and beyond the means": Case(
        buy(100, 1_000_000), ["price-out-of-band", "insufficient-buying-power"]
    ),
    "beyond the means": Case(buy(1_000, 15_000), ["insufficient-buying-power"]),
    "more than there are": Case(sell(101), ["insufficient-shares"]),
    "frozen": Case(sell(), ["account-frozen"], state("frozen")),
    "close-only buy": Case(buy(), ["account-close-only"], state("close-only")),
    "close-only sell": Case(sell(), [], state("close-only")),
    "own limit of shares": Case(buy(10), ["order-too-large"], capped("order-shares", 9)),
    "own limit of cents": Case(buy(10), ["order-too-large"], capped("order-notional-cents", 999)),
}


async def preview(user: Account, order: dict[str, Any]) -> httpx.Response:
    return await user.http.post("/order/preview", json=order)


async def assert_told_is_done(alice: Account, order: dict[str, Any], codes: list[str]) -> None:
    """What the preview told is what placing the order then does."""
    before = (await alice.http.get("/portfolio")).json()
    told = (await preview(alice, order)).json()
    unchanged = (await alice.http.get("/portfolio")).json()
    answer = await decided(alice, order)
    after = (await alice.http.get("/portfolio")).json()

    assert [one["code"] for one in told["problems"]] == codes
    assert told["accepted"] is (not codes)
    assert (unchanged["asOfSeq"], unchanged["heldCashInCents"]) == (
        (before["asOfSeq"], before["heldCashInCents"])
    )
    assert told["buyingPowerInCents"] == before["buyingPowerInCents"]
    if not codes:
        assert answer.status_code == 201
        if "priceInCents" in order:  # a market order may be filled and dearer or cheaper by now
            assert told["sentPriceInCents"] == order["priceInCents"]
            assert told["buyingPowerAfterInCents"] == after["buyingPowerInCents"]
            assert (
                told["buyingPowerInCents"] - told["buyingPowerAfterInCents"]
                == (told["requiredCashInCents"])
            )
        return
    refused = answer.json()
    assert answer.status_code == 422
    assert refused["order"]["status"] == "rejected"
    assert told["buyingPowerAfterInCents"] == after["buyingPowerInCents"]
    # The furthest price that is taken moves with the market.
    moving = {"detail", "available"} if codes[0] == "price-out-of-band" else set()
    first = told["problems"][0]
    assert set(refused) == set(first) | {"order"}
    assert all(refused[name] == first[name] for name in set(first) - moving), (refused, first)


@pytest.mark.parametrize("name", CASES)
async def test_what_is_told_is_what_placing_does(
    alice: Account, operator: Account, name: str
) -> None:
    case = CASES[name]
    await case.setting(alice, operator)

    await assert_told_is_done(alice, case.order, case.codes)


async def test_an_own_order_in_the_way_is_named_by_both(alice: Account, operator: Account) -> None:
    await resting_sell(alice, operator)
    [resting] = (await alice.http.get("/orders")).json()["items"]
    crossing = buy(price_cents=await at(alice, 115))

    told = (await preview(alice, crossing)).json()["problems"]
    await assert_told_is_done(alice, crossing, ["self-trade"])

    assert told[0]["conflictingOrderId"] == resting["id"]
    assert told[0]["conflictingPosition"] == "sell"
    assert told[0]["conflictingPriceInCents"] == resting["priceInCents"]
    assert told[0]["conflictingStatus"] == "submitted"


async def test_a_full_position_is_told_by_both(alice: Account, operator: Account) -> None:
    path = "/ops/limits/position-shares/HON"
    await operator.http.put(path, json={"value": 15, "reason": WHY})
    try:
        await placed(alice, buy(10, symbol="HON"))
        await assert_told_is_done(alice, buy(6, symbol="HON"), ["position-limit"])
        await assert_told_is_done(alice, buy(5, symbol="HON"), [])
    finally:
        await operator.http.request("DELETE", path, json={"reason": WHY})


async def test_a_market_order_is_told_its_collar_and_its_cost(alice: Account) -> None:
    told = (await preview(alice, buy(3, None))).json()
    sold = (await preview(alice, sell(3, None))).json()

    last = told["lastPriceInCents"]
    assert told["sentPriceInCents"] == max(last + 1, last * 105 // 100)
    assert told["requiredCashInCents"] == 3 * told["sentPriceInCents"]
    assert told["requiredShares"] == 0
    assert told["estimatedNotionalInCents"] == 3 * last
    assert told["lastPriceAt"].endswith("Z")
    assert (sold["requiredCashInCents"], sold["requiredShares"]) == (0, 3)
    assert (sold["sellableShares"], sold["sellableSharesAfter"]) == (100, 97)


async def test_a_limit_that_is_better_than_the_market_is_what_it_would_cost(
    alice: Account,
) -> None:
    assert (await preview(alice, buy(3, 100))).json()["estimatedNotionalInCents"] == 300


async def test_a_preview_takes_no_token_and_leaves_no_order(alice: Account) -> None:
    answers = [await preview(alice, buy()) for _ in range(25)]
    await placed(alice, buy())

    # More than a user may place at once, and the first order still finds every other token.
    assert {answer.status_code for answer in answers} == {200}
    assert len((await alice.http.get("/orders")).json()["items"]) == 1


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (buy(symbol="NOSUCH"), "unknown-symbol"),
        (buy(0), "invalid-shares"),
        (buy(price_cents=0), "invalid-price"),
        (buy(price_cents=None, timeInForce="gtc"), "invalid-time-in-force"),
        (buy(userId="mallory"), "unknown-field"),
    ],
)
async def test_bad_input_is_refused_as_when_placing(
    alice: Account, order: dict[str, Any], code: str
) -> None:
    previewed, refused = await preview(alice, order), await place(alice, order)

    assert previewed.json()["code"] == code
    assert previewed.status_code == refused.status_code
    assert refused.json()["code"] == code


async def test_who_has_no_account_has_nothing_to_see(stack: DevStack) -> None:
    secret = (stack.settings.home / "token-secret").read_text().strip()
    claims = {"sub": f"nobody-{uuid4().hex[:8]}", "iss": "sherwood", "aud": "sherwood"}
    token = jwt.encode(claims | {"iat": 1, "exp": 2**40}, secret, algorithm="HS256")
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=stack.api_url, headers=headers, trust_env=False) as http:
        answers = [
            await http.post("/order/preview", json=buy()),
            await http.get("/account/holds"),
        ]

    assert [answer.json()["code"] for answer in answers] == ["no-account", "no-account"]
