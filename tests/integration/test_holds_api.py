"""Every cent and share that is held is explained by the order that holds it."""

from brokerage.contracts.commands import CancelRequested, SettleRequest
from brokerage.storage.account_reads import holds_page
from tests.support.accounts import Account
from tests.support.books import Books, external_id
from tests.support.orders import a_fill, an_end
from tests.support.trading import cancelled, placed

BUY = {"position": "buy", "symbol": "SPY", "priceInCents": 100, "numShares": 1}
SELL = {"position": "sell", "symbol": "IBM", "priceInCents": 10**6, "numShares": 4}


async def test_holds_name_their_orders_and_add_up_to_what_the_portfolio_holds(
    alice: Account,
) -> None:
    bought = await placed(alice, {**BUY, "numShares": 7})
    sold = await placed(alice, SELL)
    gone = await placed(alice, {**BUY, "numShares": 9})
    await cancelled(alice, gone["id"])

    holds = (await alice.http.get("/account/holds")).json()
    portfolio = (await alice.http.get("/portfolio")).json()

    assert holds["items"] == [
        {
            "orderId": sold["id"],
            "position": "sell",
            "symbol": "IBM",
            "status": "submitted",
            "shares": 4,
            "sentPriceInCents": 10**6,
            "heldCashInCents": None,
            "heldShares": 4,
            "since": sold["createdAt"],
            "why": "open",
        },
        {
            "orderId": bought["id"],
            "position": "buy",
            "symbol": "SPY",
            "status": "submitted",
            "shares": 7,
            "sentPriceInCents": 100,
            "heldCashInCents": 700,
            "heldShares": None,
            "since": bought["createdAt"],
            "why": "open",
        },
    ]
    assert holds["nextCursor"] is None
    assert holds["asOfSeq"] == portfolio["asOfSeq"]
    assert holds["heldCashInCents"] == portfolio["heldCashInCents"] == 700
    assert holds["heldShares"] == [{"symbol": "IBM", "heldShares": 4}]
    assert {one["symbol"]: one["heldShares"] for one in portfolio["positions"]}["IBM"] == 4
    assert portfolio["state"] == "active"


async def test_pages_hold_every_hold_once_and_the_totals_of_all(alice: Account) -> None:
    orders = [(await placed(alice, BUY))["id"] for _ in range(5)]

    seen: list[str] = []
    query: dict[str, str | int] = {"limit": 2}
    while query.get("cursor", "first"):
        page = (await alice.http.get("/account/holds", params=query)).json()
        assert len(page["items"]) <= 2
        assert page["heldCashInCents"] == 500
        seen += [one["orderId"] for one in page["items"]]
        query["cursor"] = page["nextCursor"]

    assert seen == orders[::-1]


async def test_what_was_executed_and_is_not_booked_is_held_and_says_so(books: Books) -> None:
    key = await books.submitted(external := external_id())
    wish = CancelRequested(key.order_id, key.user_id, books.user_id, "")
    await books.orders.request_cancel(wish)
    fill = a_fill(f"{external}-1", 3, 20_000, external=external)
    end = an_end("cancelled", 5, feed_seq=2, external=external)
    await books.orders.settle(SettleRequest(key.order_id, key.user_id, [fill, end]))

    page = await holds_page(books.pool, books.user_id, limit=10)

    assert page is not None
    [hold] = page.holds
    assert (hold.shares, hold.amount, hold.ended) == (2, 40_000, True)
    assert page.held_cents == 40_000
