"""A race on a whole stack: one user, one exchange that does as it is told, and one comparison.

The orders rest far from the market, so that nothing trades but what the exchange is told to execute
by hand.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.eventually import eventually
from tests.support.exchange_rules import control, exchange_of, executions_of, recorded
from tests.support.trading import RESTING, Order, kinds_of_events, until

TEN: Final[Order] = {**RESTING, "numShares": 10}
"""Ten IBM at a dollar: $10.00 held."""
PRICE_CENTS: Final = 100


@dataclass(frozen=True)
class Scene:
    """One user, the exchange, and what the user had before."""

    stack: DevStack
    alice: Account
    exchange: httpx.AsyncClient
    before: dict[str, int]

    async def execute(self, order: Order, shares: int, price_cents: int = PRICE_CENTS) -> None:
        """Have the exchange execute so much of an order, whatever its state."""
        external = order["externalOrderId"]
        await control(
            self.exchange, "executions", orderId=external, shares=shares, priceCents=price_cents
        )

    async def cancel(self, order: Order) -> httpx.Response:
        """The answer to a cancel."""
        return await self.alice.http.delete(f"/order/{order['id']}")

    async def decided(self, order: Order, asked: httpx.Response) -> httpx.Response:
        """The answer to a cancel: this one, or a repeat's where it was too soon to tell."""

        async def attempt() -> httpx.Response:
            answer = await self.cancel(order) if asked.status_code in (202, 503) else asked
            assert answer.status_code not in (202, 503), answer.text
            return answer

        answer: httpx.Response = await eventually(attempt, "the cancel is decided", 60)
        return answer

    async def until(self, order: Order, status: str, filled_shares: int = 0) -> Order:
        """The order once it has this status and so many shares."""
        return await until(
            self.alice,
            order["id"],
            lambda seen: (seen["status"], seen["filledShares"]) == (status, filled_shares),
            f"the order is {status} with {filled_shares} shares",
        )

    async def kinds(self, order: Order) -> list[str]:
        """What happened to the order, in order."""
        return await kinds_of_events(self.stack, order["id"])

    async def agrees(self, order: Order, status: str, filled_shares: int) -> Order:
        """The order at its end; it, the user's money and the exchange's record say the same."""
        final = await self.until(order, status, filled_shares)
        theirs = await recorded(self.exchange, order["id"])
        assert theirs is not None
        assert theirs["cumulativeShares"] == filled_shares
        executions = await executions_of(self.exchange, theirs["orderId"])
        paid_cents = sum(one["priceCents"] * one["shares"] for one in executions)
        assert final["filledNotionalInCents"] == paid_cents
        assert await balances(self.alice) == {
            "cash": self.before["cash"] - paid_cents,
            "held": 0,
            "IBM": self.before["IBM"] + filled_shares,
        }
        return final


@asynccontextmanager
async def race(stack: DevStack) -> AsyncIterator[Scene]:
    """A new user and the exchange."""
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        yield Scene(stack, alice, exchange, await balances(alice))


async def balances(alice: Account) -> dict[str, int]:
    """Cash, what is held of it, and the shares of the symbol that is raced for."""

    async def attempt() -> dict[str, Any]:
        answer = await alice.http.get("/portfolio")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    portfolio: dict[str, Any] = await eventually(attempt, "the portfolio is shown")
    shares = {one["symbol"]: one["shares"] for one in portfolio["positions"]}
    return {
        "cash": portfolio["cashInCents"],
        "held": portfolio["heldCashInCents"],
        "IBM": shares["IBM"],
    }
