"""How the page is served: by its own origin alone, under a policy that holds."""

import httpx
import pytest
from playwright.async_api import Browser, expect

from devstack.stack import DevStack
from tests.browser.conftest import PageAt, Trader, watched_page


async def test_who_signs_in_sees_live_prices(trader: Trader) -> None:
    page = await trader()

    await expect(page.locator("#desk")).to_be_visible()


async def test_a_reload_keeps_the_session_and_signing_out_ends_it(trader: Trader) -> None:
    page = await trader()

    await page.reload()
    await expect(page.locator("#connection")).to_have_text("Live")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Trade a market day")).to_be_visible()
    await page.reload()
    await expect(page.get_by_label("Your name")).to_be_focused()


async def test_a_name_that_is_none_is_refused_with_the_rule(page_at: PageAt) -> None:
    page = await page_at("/")

    await page.get_by_label("Your name").fill("no spaces")
    await page.get_by_role("button", name="Sign in").click()

    await expect(page.get_by_role("alert")).to_have_text(
        "A name is 1 to 64 letters, digits, _ or -."
    )


async def test_the_api_description_needs_no_other_server(page_at: PageAt) -> None:
    page = await page_at("/docs")

    await expect(page.get_by_text("/order/preview")).to_be_visible()


async def test_files_are_checked_anew_and_not_sent_again(stack: DevStack) -> None:
    async with httpx.AsyncClient(base_url=stack.api_url, trust_env=False, timeout=30) as http:
        for path in ("/", "/docs", "/web/app.js", "/web/vendor/lightweight-charts.js"):
            first = await http.get(path)
            again = await http.get(path, headers={"If-None-Match": first.headers["etag"]})

            assert (first.status_code, again.status_code) == (200, 304)
            for answer in (first, again):
                assert answer.headers["cache-control"] == "no-cache"
                assert "default-src 'none'" in answer.headers["content-security-policy"]
                assert answer.headers["referrer-policy"] == "no-referrer"
                assert answer.headers["x-content-type-options"] == "nosniff"


async def test_what_the_policy_forbids_does_not_happen_and_is_noticed(
    stack: DevStack, browser: Browser
) -> None:
    async def misled() -> None:
        async with watched_page(browser, stack.api_url, "/") as page:
            outcome = await page.evaluate("fetch('http://elsewhere.invalid').catch(String)")
            assert outcome == "TypeError: Failed to fetch"

    with pytest.raises(AssertionError, match="Content Security Policy"):
        await misled()


@pytest.mark.parametrize(
    "path",
    [
        "/web/none.js",
        "/web/../pyproject.toml",
        "/web/%2e%2e/pyproject.toml",
        "/web/vendor/bundle.js",
    ],
)
async def test_nothing_else_is_served(stack: DevStack, path: str) -> None:
    async with httpx.AsyncClient(base_url=stack.api_url, trust_env=False, timeout=30) as http:
        answer = await http.get(path)

    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
