"""What the page says of its prices while servers go and come."""

import re

from playwright.async_api import Page, expect

from devstack.stack import DevStack
from tests.browser.conftest import PageAt, Trader, sign_in
from tests.support.away import away
from tests.support.eventually import eventually

AWAY = "Failed to load resource|net::ERR"


async def prices_move(page: Page) -> None:
    """Return when a price on the watch list changed."""
    price = page.locator("#watch-list .figures b").first
    await expect(price).not_to_have_text(await price.inner_text())


async def test_a_killed_server_is_told_and_come_back_to(trader: Trader, stack: DevStack) -> None:
    page = await trader(expected=AWAY)
    # What it says between two looks counts too.
    await page.evaluate(
        """() => {
            const [said, place] = [window.said = [], document.getElementById("connection")];
            const note = () => said.push(place.textContent);
            new MutationObserver(note).observe(place, {childList: true});
        }"""
    )

    stack.kill("api")

    async def came_back() -> None:
        said = await page.evaluate("said")
        assert any(re.match("Reconnecting: .* are of ", text) for text in said)
        assert said[-1] == "Live"

    await eventually(came_back, "the page is live again", timeout_seconds=120)
    await prices_move(page)


async def test_prices_of_a_silent_exchange_are_called_stale(
    trader: Trader, stack: DevStack
) -> None:
    page = await trader(expected=AWAY)
    connection = page.locator("#connection")

    async with away(stack, "nats"):
        await expect(connection).to_contain_text("Stale: the exchange is silent since")

    await expect(connection).to_have_text("Live")
    await prices_move(page)


async def test_a_server_that_says_nothing_for_three_heartbeats_is_given_up(
    page_at: PageAt, stack: DevStack
) -> None:
    page = await page_at("/", expected=AWAY)
    await page.clock.install()
    await page.reload()
    await sign_in(page, "patient")

    stack.pause("api")
    try:
        # The hour of the page passes, not that of the test.
        await page.clock.fast_forward("01:00")
        await expect(page.locator("#connection")).to_contain_text("Reconnecting")
    finally:
        stack.resume("api")

    await expect(page.locator("#connection")).to_have_text("Live")


async def test_a_lost_network_is_told_at_once(trader: Trader) -> None:
    page = await trader(expected=AWAY)
    connection = page.locator("#connection")

    await page.context.set_offline(True)
    await expect(connection).to_contain_text("Offline")
    await page.context.set_offline(False)

    await expect(connection).to_have_text("Live")
    await prices_move(page)
