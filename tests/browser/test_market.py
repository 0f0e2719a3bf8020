"""Watching the market on the page: the list, and the chart of what is chosen."""

import re

from playwright.async_api import Page, expect

from tests.browser.conftest import Trader, choose
from tests.support.eventually import eventually

A_PRICE = re.compile(r"^[\d,]+\.\d\d$")


async def watched(page: Page) -> list[str]:
    """What is on the watch list, from top to bottom."""
    return await page.locator("#watch-list .symbol b").all_inner_texts()


async def unwatched(page: Page) -> tuple[str, str]:
    """A symbol that is not on the watch list, and its name."""
    known = [
        (await option.get_attribute("value") or "", await option.text_content() or "")
        for option in await page.locator("#symbols option").all()
    ]
    there = await watched(page)
    return next(one for one in known if one[0] not in there)


async def test_prices_move(trader: Trader) -> None:
    page = await trader()
    price = page.locator("#watch-list .figures b").first
    await expect(price).to_have_text(A_PRICE)
    first = await price.inner_text()

    await expect(price).not_to_have_text(first)


async def test_a_symbol_added_by_its_name_has_a_price_at_once_on_the_same_stream(
    trader: Trader,
) -> None:
    page = await trader()
    symbol, name = await unwatched(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(f"{request.method} {request.url}"))

    await choose(page, name)

    line = page.locator("#watch-list tr.selected")
    await expect(line.locator("b").first).to_have_text(symbol)
    await expect(line.locator(".figures b")).to_have_text(A_PRICE)
    # A price that was known already is there before the stream is told.
    await eventually(lambda: any(one.startswith("PATCH ") for one in asked), "the list is changed")
    assert not any(one.endswith("/subscribe") for one in asked)


async def test_the_list_is_the_users_and_is_there_again(trader: Trader) -> None:
    page = await trader()
    symbol, _ = await unwatched(page)
    await choose(page, symbol)
    before = await watched(page)

    await page.reload()

    await expect(page.locator("#watch-list .symbol b")).to_have_text(before)


async def test_what_is_traded_nowhere_is_refused_with_its_name(trader: Trader) -> None:
    page = await trader()
    before = await watched(page)

    await choose(page, "Xyzzy")

    await expect(page.locator("#watch-said")).to_have_text("Nothing called “Xyzzy” is traded here.")
    assert await watched(page) == before


async def test_arrows_move_enter_chooses_and_delete_removes(trader: Trader) -> None:
    page = await trader()
    chart = page.get_by_role("region", name="Chart")
    first, second, third, *rest = await watched(page)
    await page.locator("#watch-list .symbol").first.click()

    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(chart.get_by_role("heading", name=second, exact=True)).to_be_visible()

    await page.keyboard.press("Delete")
    await expect(page.locator("#watch-list .symbol b")).to_have_text([first, third, *rest])
    await expect(page.locator("#watch-list .symbol").nth(1)).to_be_focused()
    await expect(chart.get_by_role("heading", name=third, exact=True)).to_be_visible()


async def test_the_chart_has_the_history_and_the_live_price_continues_it(trader: Trader) -> None:
    page = await trader()
    chart = page.get_by_role("region", name="Chart")
    await expect(chart).to_have_attribute("data-bars", re.compile("[1-9]"))

    # A second bar after the first that a tick made: the price both moves a bar and begins new ones.
    begun = set()

    async def continues() -> bool:
        begun.add((await chart.get_attribute("data-bar") or "").partition(" ")[0])
        return len(begun - {""}) > 1

    await eventually(continues, "live prices begin a bar", timeout_seconds=120)


async def test_the_interval_is_chosen_and_kept(trader: Trader) -> None:
    page = await trader()
    drawn = page.get_by_role("region", name="Chart").get_by_role("img")

    await page.get_by_role("button", name="Bars of one minute").click()
    await expect(drawn).to_have_accessible_name(re.compile("bars of one minute, from"))

    await page.reload()
    await expect(drawn).to_have_accessible_name(re.compile("bars of one minute, from"))


async def test_the_bars_can_be_read_as_a_table(trader: Trader) -> None:
    page = await trader()
    await page.get_by_text("The newest bars as a table").click()

    first = page.locator("#chart tbody tr").first
    await expect(first.locator("td").first).to_have_text(A_PRICE)
