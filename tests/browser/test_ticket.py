"""Trading on the page: the ticket, and what it says."""

import asyncio
import re
from uuid import uuid4

from playwright.async_api import Locator, Page, Route, expect

from devstack.stack import DevStack
from tests.browser.conftest import PageAt, Trader, enter
from tests.support.accounts import account
from tests.support.eventually import eventually

REFUSED = r"status of 422"
AN_ORDER = re.compile("^Order [0-9a-f]{8}, ")
THE_SAME = "This is the same order, not a second one."


def ticket_of(page: Page) -> Locator:
    """The order ticket: other parts of the page tell of orders too."""
    return page.get_by_role("region", name="Order ticket")


async def orders_of(page: Page, stack: DevStack) -> list[str]:
    """The ids of all orders of the page's user."""
    user = await page.locator("#user").inner_text()
    async with account(stack.api_url, user) as owner:

        async def listed() -> list[str]:
            answer = await owner.http.get("/orders")
            assert answer.status_code == 200, answer.text
            return [order["id"] for order in answer.json()["items"]]

        ids: list[str] = await eventually(listed, "the orders are listed")
        return ids


async def test_a_market_order_fills(trader: Trader) -> None:
    page = await trader()
    ticket = ticket_of(page)
    await expect(ticket.get_by_text("Estimated cost")).to_be_visible()

    await ticket.get_by_role("button", name="Buy 10 SPY").click()

    await expect(ticket.get_by_text(re.compile(r"^Buy 10 \S+ at the market: "))).to_be_visible()


async def test_a_second_click_is_visibly_the_same_order(trader: Trader, stack: DevStack) -> None:
    page = await trader()
    ticket = ticket_of(page)
    buy = ticket.get_by_role("button", name="Buy 10 SPY")

    await buy.dblclick()
    await expect(ticket.get_by_text(AN_ORDER)).to_be_visible()
    # Until it has its first answer, who asks again shares that, which is no repeat.
    await expect(ticket.get_by_text(re.compile("at the market: (?!pending)"))).to_be_visible()
    await buy.click()

    await expect(ticket.get_by_text(THE_SAME)).to_be_visible()
    await expect(ticket.get_by_text("at the market: filled")).to_be_visible()
    await expect(ticket.get_by_text(THE_SAME)).to_be_visible()
    assert len(await orders_of(page, stack)) == 1


async def test_new_order_is_another_order(trader: Trader, stack: DevStack) -> None:
    page = await trader()
    ticket = ticket_of(page)
    said = ticket.get_by_text(AN_ORDER)

    for _ in range(2):
        await ticket.get_by_role("button", name="Buy 10 SPY").click()
        await expect(said).to_be_visible()
        await ticket.get_by_role("button", name="New order").click()
        await expect(said).to_be_hidden()

    assert len(await orders_of(page, stack)) == 2


async def test_an_order_whose_answer_is_lost_is_sent_again_as_the_same(
    trader: Trader, stack: DevStack
) -> None:
    page = await trader(expected="ERR_FAILED")
    lost: list[str] = []

    async def lose_the_first_answer(route: Route) -> None:
        answer = await route.fetch()
        if lost:
            await route.fulfill(response=answer)
            return
        # Until it has its first answer, who asks again shares that, which is no repeat.
        while answer.status != 201:
            answer = await route.fetch()
        lost.append((await answer.json())["id"])
        await route.abort()

    await page.route("**/order", lose_the_first_answer)
    ticket = ticket_of(page)
    await ticket.get_by_role("button", name="Buy 10 SPY").click()

    await expect(ticket.get_by_text(THE_SAME)).to_be_visible()
    assert await orders_of(page, stack) == lost


async def test_a_refusal_is_foreseen_and_says_the_servers_reason(trader: Trader) -> None:
    page = await trader(expected=REFUSED)
    ticket = ticket_of(page)
    await ticket.get_by_label("Shares").fill("9000")
    await expect(ticket.get_by_role("status").first).to_contain_text("Not enough buying power")

    await ticket.get_by_role("button", name="Buy 9,000 SPY").click()

    await expect(ticket.get_by_text(re.compile("^Buy 9,000 .*: rejected"))).to_be_visible()
    if "Not enough" not in await ticket.get_by_role("status").last.inner_text():
        # The server was busy, and an event told the end: the answer with the reason is kept.
        await ticket.get_by_role("button", name="Buy 9,000 SPY").click()
    await expect(ticket.get_by_role("status").last).to_contain_text("Not enough buying power")


async def test_a_limit_order_takes_dollars_and_cents(trader: Trader, stack: DevStack) -> None:
    page = await trader()
    ticket = ticket_of(page)

    await ticket.get_by_text("Limit", exact=True).click()
    price = ticket.get_by_label("Limit price in $")
    await expect(price).to_have_value(re.compile(r"^\d+\.\d\d$"))
    await price.fill("5.001")
    await expect(ticket.get_by_text("Dollars and cents, above zero.")).to_be_visible()
    await price.fill("1.50")
    await ticket.get_by_label("Shares").fill("x")
    await ticket.get_by_role("button", name=re.compile("^Buy")).click()

    await expect(ticket.get_by_label("Shares")).to_be_focused()
    assert await orders_of(page, stack) == []


async def test_a_limit_is_offered_once_and_then_theirs_who_type(page_at: PageAt) -> None:
    page, prices_may_come = await page_at("/"), asyncio.Event()

    async def held(route: Route) -> None:
        await prices_may_come.wait()
        await route.continue_()

    await page.route("**/subscribe", held)
    await enter(page, f"user-{uuid4().hex[:12]}")
    await expect(page.locator("#connection")).to_have_text("Connecting")
    ticket = ticket_of(page)
    await ticket.get_by_text("Limit", exact=True).click()
    price = ticket.get_by_label("Limit price in $")
    await expect(price).to_have_value("")
    prices_may_come.set()
    await expect(price).to_have_value(re.compile(r"^\d+\.\d\d$"))

    await price.press("Control+A")
    await price.press("Delete")

    await expect(ticket.get_by_text("Dollars and cents, above zero.")).to_be_visible()
    await expect(price).to_have_value("")


async def test_an_order_needs_nothing_but_the_keyboard(trader: Trader, stack: DevStack) -> None:
    page = await trader()
    await page.locator("#watch-list tr.selected .symbol").focus()

    await tab_to(page, page.get_by_role("radio", name="Buy"))
    await page.keyboard.press("ArrowRight")
    await tab_to(page, page.get_by_role("textbox", name="Shares"))
    await page.keyboard.press("Control+A")
    await page.keyboard.type("3")
    await page.keyboard.press("Enter")

    await expect(ticket_of(page).get_by_text(AN_ORDER)).to_be_visible()
    await expect(
        ticket_of(page).get_by_text(re.compile("^Sell 3 SPY at the market: "))
    ).to_be_visible()
    assert len(await orders_of(page, stack)) == 1


async def tab_to(page: Page, target: Locator, presses_max: int = 40) -> None:
    """Press Tab until this has the focus."""
    for _ in range(presses_max):
        if await target.evaluate("element => element === document.activeElement"):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"{target} is not reached in {presses_max} steps")
