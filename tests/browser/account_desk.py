"""What the tests of the account's half of the page look at, and how they get there."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import PATIENCE_MS, PageAt, sign_in
from tests.support.eventually import eventually
from tests.support.race import Scene
from tests.support.trading import Order

AWAY: Final = r"Failed to load resource: .*(ERR_|503)"
"""What Chromium says of an API that is away, or about to go."""
ANSWER: Final = re.compile("^(Cancelled|Asked for; the exchange has not answered yet)$")
"""A busy machine may need more than the three seconds of an answer."""


async def desk(page_at: PageAt, scene: Scene, **options: Any) -> Page:
    """The page as the scene's user sees it, who has just signed in."""
    page = await page_at("/", **options)
    await sign_in(page, scene.alice.user)
    return page


def row(page: Page, order: Order) -> Locator:
    """The order's line."""
    return page.locator(f"#orders tr[data-order='{order['id']}']")


def button(page: Page, act: str, order: Order) -> Locator:
    """`Cancel` or `Details` of the order's line."""
    return row(page, order).get_by_role("button", name=act)


async def shows(page: Page, order: Order, status: str, filled: str) -> None:
    """The order's line has this status, and so much filled (`4 / 10`)."""
    await expect(row(page, order).locator(".status")).to_have_text(status)
    await expect(row(page, order).locator(".filled")).to_have_text(filled)


async def details(page: Page, order: Order) -> Locator:
    """The dialog about the order, opened from its line, once it says why."""
    await button(page, "Details", order).click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.locator(".explanation")).not_to_be_empty()
    return dialog


async def cancelled(
    page: Page, press: Locator, act: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Press what cancels until the wish is on record: a busy server may have to be asked again."""
    await expect(press).to_be_visible()

    async def on_record() -> bool:
        if await press.is_hidden():  # it was recorded all the same
            return True
        async with page.expect_response(lambda one: one.request.method == "DELETE") as asked:
            await (act or press.click)()
        return (await asked.value).status != 503

    await eventually(on_record, "the wish to cancel is on record", PATIENCE_MS / 1000)
