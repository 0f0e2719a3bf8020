"""A real browser, and the page in it as somebody new would see it."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, Page, Request, expect

from devstack.stack import DevStack
from tests.support.eventually import eventually
from tests.support.programs import CannotRun, chromium

PATIENCE_MS: Final = 120_000
"""How long a step may take, and an expectation may stay unmet."""
DESK: Final = (1440, 900)
PHONE: Final = (360, 780)
PICTURES: Final = "--page-pictures"
Theme = Literal["light", "dark"]
BUSY: Final = re.compile(r"the server responded with a status of (409|503)")
"""What Chromium says of an answer that a busy server gives, and after which the page asks again."""
PATIENT: Final = "AbortSignal.timeout = () => new AbortController().signal"
"""The page's seconds are more than any answer of the API takes, unless the machine stands still."""

expect.set_options(timeout=PATIENCE_MS)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(PICTURES, action="store_true", help="make docs/images/page-*.png anew")


@dataclass
class Seen:
    """What a page did that it must not do."""

    origin: str
    faults: list[str] = field(default_factory=list)
    expected: re.Pattern[str] = re.compile(r"(?!)")
    """Of the console: what a test brings about itself, such as a refusal."""

    def request(self, request: Request) -> None:
        """Nothing leaves the page's own origin, and no address carries a token."""
        address = urlsplit(request.url)
        if (
            address.scheme not in ("data", "blob")
            and f"{address.scheme}://{address.netloc}" != self.origin
        ):
            self.faults.append(f"asked {request.url}")
        if "eyJ" in request.url:
            self.faults.append(f"a token in the address {request.url}")

    def said(self, kind: str, text: str) -> None:
        """The console is silent: violations of the policy are told there."""
        meant = self.expected.search(text) or BUSY.search(text)
        if kind in ("error", "warning") and not meant:
            self.faults.append(f"{kind}: {text}")


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all pages."""
    try:
        async with chromium() as browser:
            yield browser
    except CannotRun as reason:
        pytest.skip(str(reason))


PageAt = Callable[..., Awaitable[Page]]


@pytest.fixture
async def page_at(stack: DevStack, browser: Browser) -> AsyncIterator[PageAt]:
    """Opens a page of its own context: `await page_at("/", size=PHONE, theme="dark")`.

    The test fails if the page asked anything but its own origin or complained in the console;
    `expected=` is a pattern for what the test itself makes it complain about.
    """
    async with AsyncExitStack() as pages:

        async def opened(path: str = "/", **options: Any) -> Page:
            return await pages.enter_async_context(
                watched_page(browser, stack.api_url, path, **options)
            )

        yield opened


@asynccontextmanager
async def watched_page(
    browser: Browser,
    origin: str,
    path: str,
    *,
    size: tuple[int, int] = DESK,
    theme: Theme = "light",
    expected: str = r"(?!)",
) -> AsyncIterator[Page]:
    """A page that must behave until the block ends."""
    width, height = size
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=theme, locale="en-GB"
    )
    context.set_default_timeout(PATIENCE_MS)
    await context.add_init_script(PATIENT)
    page = await context.new_page()
    seen = Seen(origin, expected=re.compile(expected))
    page.on("request", seen.request)
    page.on("console", lambda message: seen.said(message.type, message.text))
    page.on("pageerror", lambda error: seen.said("error", str(error)))
    try:
        await page.goto(f"{origin}{path}")
        yield page
    finally:
        await context.close()
    assert seen.faults == []


Trader = Callable[..., Awaitable[Page]]


@pytest.fixture
async def trader(page_at: PageAt) -> Trader:
    """Opens the page as a new user who has just signed in and chosen SPY, of which they have some;
    options as of `page_at`.
    """

    async def opened(**options: Any) -> Page:
        page = await page_at("/", **options)
        await sign_in(page, f"user-{uuid4().hex[:12]}")
        await choose(page, "SPY")
        chosen = page.locator("#watch-list tr.selected")
        await expect(chosen.locator(".symbol b")).to_have_text("SPY")
        await expect(chosen.locator(".figures b")).not_to_be_empty()
        return page

    return opened


async def enter(page: Page, user: str) -> None:
    """Give a name, as a person does, until the server takes it: a busy one may have to be asked
    again.
    """
    await page.get_by_label("Your name").fill(user)

    async def is_taken() -> bool:
        async with page.expect_response("**/dev/token") as asked:
            await page.get_by_role("button", name="Sign in").click()
        return (await asked.value).status != 503

    await eventually(is_taken, "the server takes the name", PATIENCE_MS / 1000)


async def sign_in(page: Page, user: str) -> None:
    """Sign in; return when prices are live and shown."""
    await enter(page, user)
    await expect(page.locator("#connection")).to_have_text("Live")
    await expect(page.locator("#watch-list tr.selected .figures b")).not_to_be_empty()


async def choose(page: Page, symbol_or_name: str) -> None:
    """Put a symbol on the watch list, if it is not there, and make it the chosen one."""
    await page.get_by_label("Add a symbol").fill(symbol_or_name)
    await page.get_by_label("Add a symbol").press("Enter")


async def accessible(page: Page) -> None:
    """axe-core finds nothing."""
    found = await Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
