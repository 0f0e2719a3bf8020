"""`python -m tests.foreign.temporal_ui`: make the pictures of `docs/operating.md` anew.

A stack of its own is brought to where operators look at it (an order that filled, one of which the
exchange says nothing, one whose cancel it does not answer), and a real browser takes pictures of
Temporal's own UI. Stack traces stay outside the pictures: they name places of this machine.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from playwright.async_api import Error, Page
from rich.console import Console

from brokerage.contracts.ids import order_id_for, workflow_id_for
from client.command.ops.queries import link_to
from devstack.stack import DevStack
from tests.support.accounts import account
from tests.support.eventually import eventually
from tests.support.exchange_rules import control, exchange_of
from tests.support.programs import chromium
from tests.support.running import ROOT
from tests.support.trading import ended, place, placed, until

FOLDER: Final = ROOT / "docs" / "images"
WIDTH: Final = 1400
SETTLE_MS: Final = 1_000
"""A running order's page never stops asking; what it shows comes to rest in this time."""
LEFT: Final = 204
"""Where the UI's own menu ends."""
COLUMNS: Final = ("Status", "UserId", "Side", "Symbol", "OrderType", "OrderStatus", "Workflow ID")


@dataclass(frozen=True)
class Orders:
    """The orders in the pictures, by what became of them."""

    filled: str
    unknown: str
    leaving: str


async def trade(stack: DevStack) -> Orders:
    """Have four customers place orders, two of which the exchange does not answer for."""
    async with (
        account(stack.api_url, "alice") as alice,
        account(stack.api_url, "bob") as bob,
        account(stack.api_url, "carol") as carol,
        account(stack.api_url, "dave") as dave,
        exchange_of(stack) as exchange,
    ):
        filled = await placed(alice, {"position": "buy", "symbol": "SPY", "numShares": 10})
        await ended(alice, filled["id"], "filled")
        limit = {"position": "buy", "symbol": "IBM", "numShares": 40, "timeInForce": "gtc"}
        await placed(bob, {**limit, "priceInCents": 15_000})
        key = str(uuid4())
        unknown = order_id_for(carol.user, key)
        match = {"route": "any", "clientOrderId": unknown}
        await control(exchange, "rules", action="drop", match=match)
        await place(carol, {**limit, "priceInCents": 16_000, "numShares": 25}, key)
        leaving = await placed(dave, {**limit, "priceInCents": 17_000, "numShares": 8})
        match = {"route": "cancel", "clientOrderId": leaving["id"]}
        await control(exchange, "rules", action="error", match=match)
        await dave.http.delete(f"/order/{leaving['id']}")
        await until(dave, leaving["id"], lambda order: order["status"] == "pending_cancel")
    return Orders(filled["id"], unknown, leaving["id"])


@dataclass(frozen=True)
class Camera:
    """A page of the UI, and where its pictures go."""

    page: Page
    ui: str

    async def take(self, name: str, address: str, shows: str, *, top: int, height: int) -> None:
        """Picture what lies right of the menu, from `top` on, once the page shows these words."""
        await self.page.goto(f"{self.ui}{address}")
        await eventually(lambda: self._shows(shows), f"the page shows {shows}")
        await self.page.wait_for_timeout(SETTLE_MS)
        await self.page.screenshot(
            path=FOLDER / f"{name}.png",
            clip={"x": LEFT, "y": top, "width": WIDTH - LEFT, "height": height},
            animations="disabled",
        )

    async def _shows(self, words: str) -> bool:
        # The UI shows Markdown in frames of its own, and makes them anew now and then.
        try:
            return any([await frame.get_by_text(words).count() for frame in self.page.frames])
        except Error:
            return False

    async def take_order(
        self, name: str, order_id: str, tab: str, shows: str, *, top: int = 80, height: int
    ) -> None:
        """Picture one tab of an order's run."""
        order = f"/workflows/{workflow_id_for(order_id)}"
        await self.page.goto(f"{self.ui}{order}")
        # The UI finds the newest run and goes there.
        await self.page.wait_for_url(f"**{order}/*/*", timeout=60_000)
        run = self.page.url.rpartition("/")[0].removeprefix(self.ui)
        await self.take(name, f"{run}/{tab}", shows, top=top, height=height)


async def take_all(page: Page, ui: str, orders: Orders) -> None:
    """Every picture, in the order of the page that shows them."""
    camera = Camera(page, ui)
    columns = json.dumps({"default": [{"label": label} for label in COLUMNS]})
    await page.add_init_script(
        f"localStorage.setItem('namespace-workflow-table-columns', {json.dumps(columns)})"
    )
    for name in ("Waiting for cancel", "Unknown outcome"):
        await camera.take("saved-query", link_to("", name), "1 Workflow", top=60, height=560)
    await camera.take("orders", "/workflows", "4 Workflows", top=60, height=560)
    await camera.take_order(
        "filled", orders.filled, "history", "book executions", top=690, height=520
    )
    await camera.take_order(
        "unknown-outcome", orders.unknown, "user-metadata", "Unknown outcome.", height=640
    )
    await camera.take_order(
        "pending-activity", orders.unknown, "pending-activities", "Next Retry", height=560
    )
    await camera.take_order(
        "waiting-for-cancel", orders.leaving, "user-metadata", "Waiting for cancel.", height=640
    )


async def main() -> None:
    """Start a stack, trade, take the pictures."""
    await asyncio.to_thread(FOLDER.mkdir, exist_ok=True)
    async with DevStack.temporary() as stack, chromium() as browser:
        await stack.wait_ready()
        orders = await trade(stack)
        page = await browser.new_page(viewport={"width": WIDTH, "height": 1400})
        namespace = stack.env["SHERWOOD_TEMPORAL_NAMESPACE"]
        ui = f"{stack.env['SHERWOOD_TEMPORAL_UI_URL']}/namespaces/{namespace}"
        await take_all(page, ui, orders)
    for path in sorted(FOLDER.glob("*.png")):
        Console().print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    asyncio.run(main())
