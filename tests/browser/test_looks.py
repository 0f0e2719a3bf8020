"""How the page looks: to everybody, at both widths, in both themes."""

import re
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import DESK, PHONE, PICTURES, PageAt, Theme, accessible, choose, sign_in
from tests.support.eventually import eventually
from tests.support.running import ROOT

LOOKS: Final = pytest.mark.parametrize(
    ("size", "theme", "user"),
    [
        (DESK, "light", "robin"),
        (DESK, "dark", "marian"),
        (PHONE, "light", "john"),
        (PHONE, "dark", "tuck"),
    ],
    ids=["desk", "desk-dark", "phone", "phone-dark"],
)
PICTURE_HEIGHTS: Final = {DESK: 1240, PHONE: 1500}
BARS_IN_PICTURE: Final = 90


@pytest.fixture
def pictures(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """Where pictures of the documentation are put anew; None where nobody asked for that."""
    return ROOT / "docs" / "images" if request.config.getoption(PICTURES, default=False) else None


@LOOKS
async def test_the_desk_is_accessible_fits_and_has_its_picture_taken(
    page_at: PageAt,
    size: tuple[int, int],
    theme: Theme,
    user: str,
    request: pytest.FixtureRequest,
    pictures: Path | None,
    tmp_path: Path,
) -> None:
    page = await page_at("/", size=size, theme=theme)
    await sign_in(page, user)
    await choose(page, "SPY")
    await trade(page)

    await accessible(page)
    assert await page.evaluate("document.documentElement.scrollWidth") == size[0]
    if pictures:
        await history(page)
    await page.set_viewport_size({"width": size[0], "height": PICTURE_HEIGHTS[size]})
    await page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
    picture = (pictures or tmp_path) / f"page-{request.node.callspec.id}.png"
    await page.screenshot(path=picture, animations="disabled")
    assert picture.stat().st_size > 10_000


async def trade(page: Page) -> None:
    """One order that fills, and one that waits."""
    ticket = page.get_by_role("region", name="Order ticket")
    await ticket.get_by_role("button", name="Buy 10 SPY").click()
    await expect(ticket.get_by_text(re.compile("^Order [0-9a-f]{8}"))).to_be_visible()
    await ticket.get_by_text("Limit", exact=True).click()
    await ticket.get_by_label("Limit price in $").fill("150.00")
    await expect(ticket.get_by_text("Estimated cost")).to_be_visible()
    await ticket.get_by_role("button", name="Buy 10 SPY").click()
    await expect(ticket.get_by_text(re.compile(r"at \$150.00: submitted"))).to_be_visible()


async def history(page: Page) -> None:
    """Wait until there is a chart's width of it."""
    chart = page.get_by_role("region", name="Chart")

    async def is_full() -> bool:
        await page.reload()
        await expect(chart).to_have_attribute("data-bars", re.compile("[1-9]"))
        return int(await chart.get_attribute("data-bars") or 0) >= BARS_IN_PICTURE

    await eventually(is_full, "the chart is full", timeout_seconds=240)


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_the_sign_in_is_accessible(page_at: PageAt, theme: Theme) -> None:
    await accessible(await page_at("/", theme=theme, size=PHONE))


async def test_the_theme_follows_the_system_until_one_is_chosen(page_at: PageAt) -> None:
    page = await page_at("/", theme="dark")
    root = page.locator("html")
    await expect(root).to_have_attribute("data-theme", "dark")

    await page.emulate_media(color_scheme="light")
    await expect(root).to_have_attribute("data-theme", "light")
    await page.get_by_role("button", name="Dark", exact=True).click()
    await page.reload()

    await expect(root).to_have_attribute("data-theme", "dark")
