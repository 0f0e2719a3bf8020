"""Ways in which our books and the exchange's can come to differ, each put in on purpose."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

import asyncpg

from brokerage.contracts.ids import workflow_id_for
from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.exchange_member import Member, placement
from tests.support.race import PRICE_CENTS
from tests.support.trading import Order, until
from workflows.client import connect_temporal

Drift = Callable[["Drifting"], Awaitable[str]]

HEALED: Final = "healed"
PERSON: Final = "needs-a-person"


@dataclass
class Drifting:
    """What a drift is made with: an order of a user of its own, and every way to tamper."""

    stack: DevStack
    member: Member
    user: Account
    order: Order
    database: "asyncpg.Connection[asyncpg.Record]"
    executions: list[str] = field(default_factory=list)

    @property
    def order_id(self) -> str:
        return str(self.order["id"])

    async def execute(self, shares: int) -> str:
        done = await self.member.control(
            "executions",
            orderId=self.order["externalOrderId"],
            shares=shares,
            priceCents=PRICE_CENTS,
        )
        self.executions.append(str(done["id"]))
        return self.executions[-1]

    async def tamper(self, statement: str, *values: object) -> None:
        """Change a row as nobody may: no trigger stands in the way of a superuser."""
        async with self.database.transaction():
            await self.database.execute("SET LOCAL session_replication_role = replica")
            done = await self.database.execute(statement, *values)
        assert not done.endswith(" 0"), statement

    async def terminate(self) -> None:
        client = await connect_temporal(self.stack.env["SHERWOOD_TEMPORAL_ADDRESS"], "default")
        await client.get_workflow_handle(workflow_id_for(self.order_id)).terminate()


# -- what the feed told and nobody here heard: made while no process takes executions -------------


async def fill_missing(at: Drifting) -> str:
    await at.execute(4)
    return at.order_id


async def end_missing(at: Drifting) -> str:
    await at.member.control("ends", orderId=at.order["externalOrderId"], status="expired")
    return at.order_id


async def bust_missing(at: Drifting) -> str:
    await at.member.control("busts", executionId=at.executions[0])
    return at.order_id


async def correction_missing(at: Drifting) -> str:
    await at.member.control(
        "corrections", executionId=at.executions[0], shares=3, priceCents=PRICE_CENTS - 2
    )
    return at.order_id


async def held_back(at: Drifting) -> str:
    """The kill switch keeps executions of this user from being booked, by whomever."""
    async with account(at.stack.api_url, scope="operator") as operator:
        answer = await operator.http.put(
            f"/ops/kill-switch/users/{at.user.user}", json={"level": 3, "reason": "a drift"}
        )
    assert answer.is_success, answer.text
    await at.execute(4)
    return at.order_id


# -- what was done behind somebody's back ----------------------------------------------------------


async def ended_there(at: Drifting) -> str:
    """A cancel of ours that was late ends an order that we take for live: nobody is told."""
    await at.member.cancel(at.order_id)
    return at.order_id


async def open_there(at: Drifting) -> str:
    await at.tamper("UPDATE orders SET status = 'cancelled' WHERE order_id = $1", at.order_id)
    return at.order_id


async def unknown_here(at: Drifting) -> str:
    """Another order under our name, which rests there."""
    reply = await at.member.place(placement("IBM", price_cents=1, time_in_force="gtc"))
    return reply.client_order_id


async def unknown_here_and_executed(at: Drifting) -> str:
    reply = await at.member.place(placement("MSFT", price_cents=1, time_in_force="gtc"))
    assert reply.order is not None
    await at.member.control("executions", orderId=reply.order.order_id, shares=10, priceCents=1)
    return reply.client_order_id


async def workflow_gone(at: Drifting) -> str:
    await at.terminate()
    return at.order_id


async def wrong_price(at: Drifting) -> str:
    await at.tamper(
        "UPDATE execution_reports SET price_cents = 99 WHERE order_id = $1", at.order_id
    )
    return at.order_id


async def booked_twice(at: Drifting) -> str:
    await at.tamper(
        """
        INSERT INTO execution_reports
        SELECT report_id || '-again', kind, 0, order_id, user_id, symbol, shares, booked_shares,
            price_cents, reported_at, settled_at, amends, booked_cents
        FROM execution_reports WHERE order_id = $1
        """,
        at.order_id,
    )
    return at.order_id


async def entry_tampered(at: Drifting) -> str:
    """Both legs: the transaction still sums to zero."""
    await at.tamper(
        "UPDATE ledger_entries SET amount = amount + sign(amount) "
        "WHERE user_id = $1 AND order_id = $2 AND asset = 'USD'",
        at.user.user,
        at.order_id,
    )
    return at.order_id


async def cash_drifted(at: Drifting) -> str:
    await at.tamper(
        "UPDATE accounts SET cash_cents = cash_cents + 1 WHERE user_id = $1", at.user.user
    )
    return at.user.user


async def position_drifted(at: Drifting) -> str:
    await at.tamper(
        "UPDATE positions SET shares = shares + 5 WHERE user_id = $1 AND symbol = 'IBM'",
        at.user.user,
    )
    return f"{at.user.user} IBM"


async def hold_without_order(at: Drifting) -> str:
    order_id = str(uuid4())
    await at.tamper(
        "INSERT INTO holds (user_id, order_id, asset, shares, amount, symbol, price_cents) "
        "SELECT user_id, $2, asset, shares, amount, symbol, price_cents FROM holds "
        "WHERE user_id = $1",
        at.user.user,
        order_id,
    )
    return order_id


async def mapping_missing(at: Drifting) -> str:
    await at.tamper("DELETE FROM external_orders WHERE order_id = $1", at.order_id)
    return at.order_id


async def overfilled(at: Drifting) -> str:
    await at.execute(12)
    await until(at.user, at.order_id, lambda order: order["status"] == "filled")
    return at.order_id


UNHEARD: Final[dict[Drift, tuple[str, str]]] = {
    fill_missing: ("fill-missing", HEALED),
    end_missing: ("end-missing", HEALED),
    bust_missing: ("bust-missing", HEALED),
    correction_missing: ("correction-missing", HEALED),
    held_back: ("fill-missing", PERSON),
}
DRIFTS: Final[dict[Drift, tuple[str, str]]] = {
    **UNHEARD,
    ended_there: ("ended-there", HEALED),
    open_there: ("open-there", HEALED),
    unknown_here: ("order-unknown-here", HEALED),
    unknown_here_and_executed: ("order-unknown-here", PERSON),
    workflow_gone: ("workflow-gone", HEALED),
    wrong_price: ("report-differs", PERSON),
    booked_twice: ("report-unknown-there", PERSON),
    entry_tampered: ("entries-differ", PERSON),
    cash_drifted: ("books-contradict", PERSON),
    position_drifted: ("books-contradict", PERSON),
    hold_without_order: ("books-contradict", PERSON),
    mapping_missing: ("mapping-missing", PERSON),
    overfilled: ("error-account-open", PERSON),
}
"""By drift: the kind it is found as, and what becomes of it."""
EXECUTED_BEFORE: Final = {
    bust_missing,
    correction_missing,
    wrong_price,
    booked_twice,
    entry_tampered,
}
