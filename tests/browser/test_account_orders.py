"""Orders on the page: how they move, how they are cancelled, and what one of them tells."""

import re
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from playwright.async_api import Locator, Page, Route, expect

from devstack.stack import DevStack
from tests.browser.account_desk import ANSWER, button, cancelled, desk, details, row, shows
from tests.browser.conftest import PATIENCE_MS, PHONE, PageAt, accessible
from tests.support.accounts import Account
from tests.support.eventually import eventually
from tests.support.exchange_rules import control, executions_of, rule, struck
from tests.support.race import TEN, Scene, race
from tests.support.trading import END_SECONDS, Order, place, placed


@pytest.fixture
async def scene(stack: DevStack) -> AsyncIterator[Scene]:
    async with race(stack) as scene:
        yield scene


async def refused(alice: Account, shares: int) -> Order:
    """An order that ended as it was placed: to sell more than there is."""
    key = str(uuid4())

    async def attempt() -> Order:
        body = {"position": "sell", "symbol": "IBM", "numShares": shares}
        answer = await place(alice, body, key)
        assert answer.status_code == 422, answer.text
        order: Order = answer.json()["order"]
        return order

    order: Order = await eventually(attempt, "the order is refused", END_SECONDS)
    return order


async def keep_announcements(page: Page) -> None:
    """Remember all that is handed to a screen reader."""
    await page.evaluate(
        """() => {
            window.announced = [];
            const told = document.getElementById("announcements");
            new MutationObserver(() => announced.push(told.textContent))
                .observe(told, {childList: true, characterData: true, subtree: true});
        }"""
    )


async def announced(page: Page, text: str) -> None:
    """Wait until this was announced."""
    await page.wait_for_function(
        "(text) => announced.some((said) => said.includes(text))", arg=text
    )


async def test_fills_arrive_on_the_line_of_their_order_and_are_announced(
    scene: Scene, page_at: PageAt
) -> None:
    page = await desk(page_at, scene)
    await keep_announcements(page)

    order = await placed(scene.alice, TEN)
    await shows(page, order, "submitted", "0 / 10")
    await scene.execute(order, 4)
    await shows(page, order, "partly filled", "4 / 10")
    await announced(page, "Executed 4 at 1.00: buy 10 IBM at 1.00, 4 of 10 filled at 1.00")
    await scene.execute(order, 6)

    await announced(page, "Filled: buy 10 IBM at 1.00, average 1.00")
    await expect(page.locator("#executions tbody tr")).to_have_count(2)
    await page.get_by_text("Ended", exact=True).click()
    await shows(page, order, "filled", "10 / 10")


async def test_cancelling_shows_the_answer_and_the_order_leaves_the_open_ones(
    scene: Scene, page_at: PageAt
) -> None:
    order = await placed(scene.alice, TEN)
    page = await desk(page_at, scene)
    await keep_announcements(page)

    await cancelled(page, button(page, "Cancel", order))

    await announced(page, "buy 10 IBM at 1.00: ")  # the answer
    await announced(page, "Cancelled: buy 10 IBM at 1.00, 0 of 10 filled")  # the event
    await expect(row(page, order)).to_have_count(0)
    await expect(page.get_by_text("No open orders.")).to_be_visible()
    await page.get_by_text("Ended", exact=True).click()
    await shows(page, order, "cancelled", "0 / 10")


async def test_a_cancel_that_comes_too_late_says_so_with_the_order_as_it_is(
    scene: Scene, page_at: PageAt
) -> None:
    order = await placed(scene.alice, TEN)
    page = await desk(page_at, scene, expected=r"status of 409")
    await keep_announcements(page)

    async def beaten_by_a_fill(route: Route) -> None:
        await scene.execute(order, 10)
        await scene.until(order, "filled", 10)
        answer = await route.fetch()
        while answer.status == 503:  # the server is busy, and would say so
            answer = await route.fetch()
        await route.fulfill(response=answer)

    await page.route(f"**/order/{order['id']}", beaten_by_a_fill)
    await button(page, "Cancel", order).click()

    await announced(
        page, "buy 10 IBM at 1.00: The order has ended another way: the order is filled."
    )
    await page.get_by_text("Ended", exact=True).click()
    await shows(page, order, "filled", "10 / 10")


async def test_a_cancel_that_the_exchange_does_not_answer_is_asked_for_until_it_does(
    scene: Scene, page_at: PageAt
) -> None:
    order = await placed(scene.alice, TEN)
    page = await desk(page_at, scene)

    async with rule(scene.exchange, "cancel", order["id"], "drop") as fired:
        await cancelled(page, button(page, "Cancel", order))
        await struck(fired)
        await expect(row(page, order).locator(".answer")).to_have_text(
            "Asked for; the exchange has not answered yet"
        )
        await shows(page, order, "cancelling", "0 / 10")

    await page.get_by_text("Ended", exact=True).click()
    await shows(page, order, "cancelled", "0 / 10")


async def test_cancelling_everything_asks_first_and_tells_what_became_of_each(
    scene: Scene, page_at: PageAt
) -> None:
    orders = [await placed(scene.alice, TEN | {"priceInCents": cents}) for cents in (100, 101, 102)]
    page = await desk(page_at, scene)
    await expect(page.locator("#orders tbody tr")).to_have_count(3)

    everything = page.get_by_role("button", name="Cancel all")
    await everything.click()
    await expect(page.get_by_role("button", name="Keep them")).to_be_focused()
    await page.get_by_role("button", name="Cancel 3").click()

    said = page.locator("#orders > .said")

    async def told() -> bool:
        await expect(said).to_have_text(re.compile("^(?!Cancelling)."))
        text = await said.inner_text()
        if re.match(r"\d (cancelled|asked for)", text) and "not on record" not in text:
            return True
        # A busy server has to be asked again about those whose wish is not on record.
        if await everything.is_enabled():
            await everything.click()
            await page.get_by_role("button", name=re.compile(r"^Cancel \d$")).click()
        return False

    await eventually(told, "it tells what became of each", PATIENCE_MS / 1000)
    for order in orders:
        await scene.until(order, "cancelled")
    await expect(everything).to_be_disabled()


async def test_an_order_tells_why_it_waits_and_what_happened_to_it(
    scene: Scene, page_at: PageAt
) -> None:
    order = await placed(scene.alice, TEN)
    page = await desk(page_at, scene)
    await accessible(page)

    dialog = await details(page, order)
    await expect(dialog.get_by_role("heading", name="Buy 10 IBM at 1.00")).to_be_visible()
    await expect(dialog.locator(".explanation")).to_contain_text("from its $1.00")
    happened = dialog.locator(".timeline .happened")
    await expect(happened).to_have_text(["Placed", "The exchange has it"])
    await accessible(page)
    await scene.execute(order, 4)
    await expect(happened).to_have_text(["Placed", "The exchange has it", "Executed: 4 at 1.00"])
    await expect(dialog.locator(".explanation")).to_contain_text("4 of 10 shares are filled")

    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(button(page, "Details", order)).to_be_focused()


async def test_the_keyboard_alone_looks_into_an_order_and_cancels_it(
    scene: Scene, page_at: PageAt
) -> None:
    order = await placed(scene.alice, TEN)
    page = await desk(page_at, scene)
    await button(page, "Details", order).focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    cancel = dialog.get_by_role("button", name="Cancel order")
    await expect(dialog.get_by_role("button", name="Close")).to_be_focused()

    await page.keyboard.press("Tab")
    await expect(cancel).to_be_focused()
    for _ in range(4):  # from the last one to the first: nothing behind the dialog is reached
        await page.keyboard.press("Tab")
        assert not await page.evaluate("document.activeElement.matches('#desk *')")

    async def press_enter() -> None:
        await cancel.focus()
        await page.keyboard.press("Enter")

    await cancelled(page, cancel, press_enter)
    await expect(dialog.locator(".answer")).to_have_text(ANSWER)
    await expect(cancel).to_be_hidden()
    await expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    await page.keyboard.press("Escape")
    # The focus was given back to the order's line, and stays when that goes.
    await expect(row(page, order)).to_have_count(0)
    await expect(page.locator("#orders h2")).to_be_focused()


async def test_busts_and_corrections_are_shown_as_they_are_told(
    scene: Scene, page_at: PageAt
) -> None:
    order = await placed(scene.alice, TEN)
    for shares in (4, 6):
        await scene.execute(order, shares)
    await scene.until(order, "filled", 10)
    first, second = [
        one["executionId"] for one in await executions_of(scene.exchange, order["externalOrderId"])
    ]
    page = await desk(page_at, scene)

    def line(execution_id: str) -> Locator:
        return page.locator(f"#executions tr[data-execution='{execution_id}']")

    await control(scene.exchange, "busts", executionId=first)
    await expect(line(first).locator(".status")).to_have_text("busted")
    await expect(line(first).locator("del").first).to_have_text("4")
    await control(scene.exchange, "corrections", executionId=second, shares=5, priceCents=99)
    await expect(line(second).locator(".status")).to_have_text("corrected")

    notes = page.locator(".amendments li")
    await expect(notes).to_contain_text(
        ["corrected an execution to 5 at 0.99", "busted an execution"]
    )
    await notes.first.get_by_role("button", name="Show the order").click()
    await expect(page.locator(".timeline li").last).to_contain_text("5 of 10 filled at 0.99")
    await page.keyboard.press("Escape")
    await notes.first.get_by_role("button", name="Put away").click()
    await expect(notes).to_have_count(1)


async def test_ended_orders_are_turned_in_pages(scene: Scene, page_at: PageAt) -> None:
    orders = [await refused(scene.alice, shares) for shares in (1_001, 1_002, 1_003)]
    page = await desk(page_at, scene)

    async def two_a_page(route: Route) -> None:
        await route.continue_(url=route.request.url.replace("limit=20", "limit=2"))

    await page.route("**/orders?status=closed*", two_a_page)
    await page.get_by_text("Ended", exact=True).click()

    lines = page.locator("#orders tbody tr")
    newer, older = (page.get_by_role("button", name=f"{way} ended") for way in ("Newer", "Older"))
    await expect(lines).to_have_count(2)
    await expect(newer).to_be_disabled()
    await older.click()
    await expect(row(page, orders[0])).to_be_visible()
    await expect(lines).to_have_count(1)
    await expect(older).to_be_disabled()
    await newer.click()
    await expect(row(page, orders[2])).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_a_phone_shows_all_of_an_order_and_cancels_it(
    scene: Scene, page_at: PageAt, theme: str
) -> None:
    order = await placed(scene.alice, TEN)
    await scene.execute(order, 4)
    page = await desk(page_at, scene, size=PHONE, theme=theme)
    await shows(page, order, "partly filled", "4 / 10")
    await expect(page.locator("#portfolio .total")).to_have_text(re.compile(r"\d"))

    for part in ("orders", "executions", "portfolio"):
        assert await page.locator(f"#{part}").evaluate("(part) => part.scrollWidth <= 360"), part
    await accessible(page)
    dialog = await details(page, order)
    await accessible(page)
    await cancelled(page, dialog.get_by_role("button", name="Cancel order"))
    await expect(dialog.locator(".answer")).to_have_text(ANSWER)
    await expect(dialog.locator("dl").first).to_contain_text("cancelled")
