"""What the page tells of the account while its server goes and comes, and while money moves."""

import json
import re
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from playwright.async_api import Locator, Page, Route, expect

from devstack.stack import DevStack
from tests.browser.account_desk import AWAY, desk, shows
from tests.browser.conftest import PageAt, enter
from tests.support.away import away
from tests.support.eventually import eventually
from tests.support.race import TEN, Scene, race
from tests.support.trading import MARKET, Order, ended, placed


@pytest.fixture
async def scene(stack: DevStack) -> AsyncIterator[Scene]:
    async with race(stack) as scene:
        yield scene


def event(name: str, **data: object) -> str:
    """One event of a stream, as a server sends it."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


async def test_what_happened_while_the_server_was_away_is_all_told_when_it_is_back(
    scene: Scene, page_at: PageAt
) -> None:
    resting, gone = [
        await placed(scene.alice, TEN | {"priceInCents": cents}) for cents in (100, 101)
    ]
    page = await desk(page_at, scene, expected=AWAY)
    await shows(page, resting, "submitted", "0 / 10")

    async with away(scene.stack, "api"):
        await expect(page.locator("#connection")).to_contain_text("Reconnecting")
        await scene.execute(resting, 4)
        await scene.execute(gone, 10, 101)
    later = await placed(scene.alice, TEN | {"priceInCents": 102})

    await shows(page, resting, "partly filled", "4 / 10")
    await shows(page, later, "submitted", "0 / 10")
    await expect(page.locator("#executions tbody tr")).to_have_count(2)
    await expect(page.locator("#connection")).to_have_text("Live")
    await page.get_by_text("Ended", exact=True).click()
    await shows(page, gone, "filled", "10 / 10")


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param(event("reset", lastSeq=0), id="a log that is shorter than it was"),
        pytest.param(event("heartbeat", lastSeq=2**50), id="a heartbeat ahead of what was told"),
        pytest.param(event("order", seq=2**50), id="an event that is not the next one"),
    ],
)
async def test_a_stream_that_left_something_out_is_not_believed(
    scene: Scene, page_at: PageAt, lie: str
) -> None:
    page = await page_at("/")
    hello = event("hello", after=0, heartbeatSeconds=5)
    told: list[Order] = []
    key = str(uuid4())

    async def lying_once(route: Route) -> None:
        if told:
            await route.continue_()
            return
        # Placed after the page read its orders, and left out by the stream. The page may have given
        # up this stream and ask for another before the order is placed: it is the same order.
        told.append(await placed(scene.alice, TEN, key))
        await route.fulfill(headers={"content-type": "text/event-stream"}, body=hello + lie)

    await page.route("**/orders/stream*", lying_once)
    await enter(page, scene.alice.user)

    await expect(page.locator("#orders tbody tr")).to_have_count(1)
    await shows(page, told[0], "submitted", "0 / 10")
    await scene.execute(told[0], 4)
    await shows(page, told[0], "partly filled", "4 / 10")


async def test_lost_orders_are_not_called_live_because_prices_are(
    scene: Scene, page_at: PageAt
) -> None:
    page = await page_at("/", expected=AWAY)
    away = True

    async def cut(route: Route) -> None:
        await (route.abort() if away else route.continue_())

    await page.route("**/orders/stream*", cut)
    await enter(page, scene.alice.user)

    await expect(page.locator("#connection")).to_contain_text("orders are of")
    away = False
    await expect(page.locator("#connection")).to_have_text("Live")


async def test_a_fill_changes_cash_position_and_what_the_account_is_worth(
    scene: Scene, page_at: PageAt
) -> None:
    page = await desk(page_at, scene)
    spy = page.locator("#portfolio tr[data-position='SPY']")
    before = await shares_of(page, "SPY")
    await expect(fact(page, "Cash")).to_have_text(f"{scene.before['cash'] / 100:,.2f}")
    await expect(fact(page, "Held for orders")).to_have_text("0.00")

    resting = await placed(scene.alice, TEN)
    await expect(fact(page, "Held for orders")).to_have_text("10.00")
    bought = await placed(scene.alice, MARKET)
    bought = await ended(scene.alice, bought["id"], "filled")

    await expect(spy.locator("td").nth(1)).to_have_text(str(before + 2))
    left = scene.before["cash"] - bought["filledNotionalInCents"]
    await expect(fact(page, "Cash")).to_have_text(f"{left / 100:,.2f}")
    await expect(fact(page, "Buying power")).to_have_text(f"{(left - 1_000) / 100:,.2f}")

    async def on_record() -> None:
        assert (await scene.cancel(resting)).status_code in (200, 202)

    await eventually(on_record, "the wish to cancel is on record")
    await expect(fact(page, "Held for orders")).to_have_text("0.00")


async def test_the_account_is_worth_what_the_live_prices_say(scene: Scene, page_at: PageAt) -> None:
    page = await desk(page_at, scene)
    total = page.locator("#portfolio .total")
    await expect(total).to_have_text(re.compile(r"^\d{2,3},\d{3}\.\d\d$"))
    first = await total.text_content()
    await expect(total).not_to_have_text(first or "")

    # One moment of the page: the sum is of what the lines say.
    assert await page.evaluate(
        """() => {
            const cents = (text) => Math.round(Number(text.replaceAll(",", "")) * 100);
            const all = (selector) => document.querySelectorAll(`#portfolio ${selector}`);
            const of = (selector) => Array.from(all(selector), (one) => one.textContent);
            const cash = of("dd")[of("dt").indexOf("Cash")];
            const parts = [cash, ...of("tbody td:last-child")].map(cents);
            return cents(of(".total")[0]) === parts.reduce((sum, part) => sum + part);
        }"""
    )


async def test_value_over_time_is_a_chart_of_the_window_that_was_chosen(
    scene: Scene, page_at: PageAt
) -> None:
    page = await desk(page_at, scene)
    chart = page.locator("#portfolio .value-chart")
    change = page.locator("#portfolio .change")

    await expect(chart.locator("canvas").first).to_be_visible()
    await expect(chart).to_have_attribute("aria-label", re.compile(r"at .* now\."))
    await expect(change).to_contain_text("in a day")
    await page.get_by_role("radio", name="1D").focus()
    await page.keyboard.press("ArrowRight")
    await expect(change).to_contain_text("in a week")


async def test_nothing_of_one_user_is_left_for_the_next(scene: Scene, page_at: PageAt) -> None:
    order = await placed(scene.alice, TEN)
    await scene.execute(order, 4)
    page = await desk(page_at, scene)
    await shows(page, order, "partly filled", "4 / 10")
    await expect(page.locator("#executions tbody tr")).to_have_count(1)

    await page.get_by_role("button", name="Sign out").click()

    for rows in await page.locator("tbody").all():
        if await rows.evaluate(
            "(rows) => rows.closest('#orders, #executions, #portfolio') !== null"
        ):
            await expect(rows.locator("tr")).to_have_count(0)
    await expect(page.locator("#portfolio .total")).to_be_empty()


def fact(page: Page, name: str) -> Locator:
    """The value of this term of the portfolio."""
    return page.locator("#portfolio dl div").filter(has_text=name).locator("dd")


async def shares_of(page: Page, symbol: str) -> int:
    """How many shares the page says the account has."""
    cell = page.locator(f"#portfolio tr[data-position='{symbol}'] td").nth(1)
    return int((await cell.inner_text()).split()[0].replace(",", ""))
