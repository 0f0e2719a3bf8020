"""What a client does that leads to a crash point, and what must have come of it in the end."""

import asyncio
import os
import re
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from uuid import uuid4

import httpx
from temporalio.client import Client

from brokerage.contracts.ids import order_id_for, workflow_id_for
from devstack.stack import DevStack
from tests.checker.engines import running_orders
from tests.checker.history import RecordingClient
from tests.faults.crash_arming import Arsenal, Fired
from tests.faults.crash_points import HANG_SECONDS, Action, Point
from tests.support.eventually import eventually
from tests.support.exchange_rules import control, recorded, rule
from tests.support.race import PRICE_CENTS, TEN
from tests.support.trading import MARKET, RESTING, Order

Answer = TypeVar("Answer")

LATE_SECONDS: Final = 5.0
DECIDED_SECONDS: Final = 90.0
UNKNOWN_SYMBOL: Final = "AIG"
"""Traded by one story alone, which has to name a report before it can know any id in it."""
TOO_LATE: Final = re.compile(r"not-placed|not-sent-in-time|arrived \d+ ms past its sendBy")
"""Why an order may fail whose way was longer than its `send_by` allows; the last one is what the
exchange says.
"""


class Missed(Exception):
    """The order took another way, as it may on a busy machine: nothing came by the point."""


@dataclass
class Life:
    """One client, one order, one fault.

    `turn` is held until that has fired; `tasks` may outlive what is done meanwhile.
    """

    stack: DevStack
    arsenal: Arsenal
    turn: asyncio.Lock
    tasks: asyncio.TaskGroup
    exchange: httpx.AsyncClient
    client: RecordingClient
    user: str
    point: Point
    action: Action
    fired: Fired | None = None
    key: str = field(default_factory=lambda: str(uuid4()))
    cancels: list[int] = field(default_factory=list)
    """With what the client's cancels were answered."""

    @property
    def order_id(self) -> str:
        """The order that the client means by its key."""
        return order_id_for(self.user, self.key)

    async def struck(
        self,
        doing: Callable[[], Coroutine[Any, Any, Answer]],
        *names: str,
        then: Callable[[], Awaitable[object]] | None = None,
    ) -> Answer:
        """Do this with the fault armed for calls that name the order, the user or one of `names`.

        Returns when it is done, the fault has fired and `then` has followed; what was frozen is
        thawed in its time. Raises `Missed`.
        """
        async with asyncio.TaskGroup() as tasks:
            async with self.turn:
                fault = self.arsenal.arm(self.point, self.action, self.order_id, self.user, *names)
                done = tasks.create_task(doing())
                try:
                    await eventually(
                        lambda: done.done() or fault.fired() is not None,
                        "the fault fires",
                        DECIDED_SECONDS,
                    )
                    # The client may be told before the process is through.
                    with suppress(AssertionError):
                        await eventually(lambda: fault.fired() is not None, "", LATE_SECONDS)
                finally:
                    fault.disarm()
                    self.fired = fault.fired()
            if self.fired is not None and self.action == "hang":
                self.tasks.create_task(self._thaw(self.fired))
            if self.fired is not None and then is not None:
                await then()
        if self.fired is None:
            raise Missed
        return done.result()

    async def _thaw(self, fired: Fired) -> None:
        try:
            await asyncio.sleep(HANG_SECONDS[self.point.process])
        finally:
            os.kill(fired.pid, signal.SIGCONT)

    async def place(self, body: Order) -> httpx.Response:
        """The definitive answer: asked for, under one key, until it comes."""
        return await _insist(lambda: self.client.place(body, self.key), 201, 422)

    async def placed(self, body: Order) -> str:
        """The exchange's id of an order that it has, before the fault is armed. Raises `Missed`."""
        answer = await self.place(body)
        if answer.status_code == 422 and TOO_LATE.fullmatch(answer.json()["order"]["reason"]):
            raise Missed
        assert answer.status_code == 201, answer.text
        external: str = answer.json()["externalOrderId"]
        return external

    async def cancel(self) -> httpx.Response:
        """How the cancel ended, asked for until it has."""

        async def ask() -> httpx.Response | None:
            answer = await self.client.cancel(self.order_id)
            if answer is not None:
                self.cancels.append(answer.status_code)
            return answer

        return await _insist(ask, 200, 409)

    async def execute(self, external: str, shares: int) -> None:
        """Have the exchange execute so much of the order."""
        await control(
            self.exchange, "executions", orderId=external, shares=shares, priceCents=PRICE_CENTS
        )

    async def until(self, shares: int, *statuses: str) -> str:
        """Return once the order has one of these statuses and so many filled shares: which."""

        async def attempt() -> str:
            answer = await self.client.read(self.order_id)
            assert answer is not None
            order = answer.json()
            assert answer.status_code == 200, order
            assert (order["status"] in statuses, order["filledShares"]) == (True, shares), order
            return str(order["status"])

        what = f"the order is {statuses} with {shares} shares"
        status: str = await eventually(attempt, what, DECIDED_SECONDS)
        return status

    async def executed(self, external: str, shares: int, status: str, in_all: int) -> None:
        """Have the exchange execute some of the order, and return once that is booked."""
        await self.execute(external, shares)
        await self.until(in_all, status)


async def _insist(
    ask: Callable[[], Awaitable[httpx.Response | None]], *decided: int
) -> httpx.Response:
    async def attempt() -> httpx.Response:
        answer = await ask()
        assert answer is not None, "no answer"
        assert answer.status_code in decided, answer.text
        return answer

    answer: httpx.Response = await eventually(attempt, f"the answer is {decided}", DECIDED_SECONDS)
    return answer


async def _was_placed(life: Life, answer: httpx.Response) -> bool:
    """Whether the order is at the exchange. Nothing but lost time may have kept it from there, and
    what the exchange ever took, is not called failed.
    """
    told = answer.json()
    if answer.status_code == 201:
        assert told["id"] == life.order_id
        return True
    theirs = await recorded(life.exchange, life.order_id)
    assert theirs is None or theirs["status"] == "rejected", theirs
    assert TOO_LATE.fullmatch(told["order"]["reason"]), told
    await life.until(0, "failed", "rejected")
    return False


async def place(life: Life) -> None:
    """Place an order that rests."""
    if await _was_placed(life, await life.struck(lambda: life.place(RESTING))):
        await life.until(0, "submitted")


async def trade(life: Life) -> None:
    """Place an order that trades at once: its fill is there before its acknowledgement."""
    if await _was_placed(life, await life.struck(lambda: life.place(MARKET))):
        await life.until(MARKET["numShares"], "filled")


async def lose_answer(life: Life) -> None:
    """The exchange accepts, and the answer is lost: the outcome has to be found out."""
    async with rule(life.exchange, "place", life.order_id, "accept-then-drop", times=1) as struck:
        await place(life)
        if await struck() == 0:
            raise Missed  # it never came to the exchange in time


async def lose_order(life: Life) -> None:
    """No placement reaches the exchange: its absence has to be proved."""
    async with rule(life.exchange, "place", life.order_id, "drop"):
        answer = await life.struck(lambda: life.place(RESTING))
    assert answer.json()["code"] == "not-placed", answer.text
    await life.until(0, "failed")


async def cancel(life: Life) -> None:
    """Cancel an order that rests."""
    external = await life.placed(RESTING)
    answer = await life.struck(life.cancel, external)
    assert answer.status_code == 200, answer.text
    await life.until(0, "cancelled")


async def fill_while_cancelling(life: Life) -> None:
    """All of an order is executed while its cancel is on the way."""
    external = await life.placed(TEN)
    shares = TEN["numShares"]
    await life.struck(life.cancel, external, then=lambda: life.execute(external, shares))
    # Whichever came first at the exchange; what it executed is booked.
    await life.until(shares, "filled", "cancelled")


async def cancel_unanswered(life: Life) -> None:
    """Cancel an order of which nobody knows yet whether the exchange has it."""
    async with rule(life.exchange, "place", life.order_id, "accept-then-hang", seconds=6, times=1):
        placing = life.tasks.create_task(life.place(RESTING))
        if await life.until(0, "pending", "submitted") != "pending":
            raise Missed
        answer = await life.struck(life.cancel)
        first = await placing
    assert answer.status_code == 200, answer.text
    assert first.status_code == 201, first.text
    await life.until(0, "cancelled")


async def cancel_abandoned(life: Life) -> None:
    """Cancel an order whose workflow is gone: a run that adopts the row has to be started."""
    external = await life.placed(RESTING)
    temporal = await Client.connect(life.stack.env["SHERWOOD_TEMPORAL_ADDRESS"])
    await temporal.get_workflow_handle(workflow_id_for(life.order_id)).terminate()
    answer = await life.struck(life.cancel, external)
    assert answer.status_code == 200, answer.text
    if (life.point.when, life.action) == ("before", "error"):
        # Nothing was on record when that was answered.
        assert life.cancels == [503, 200]
    await life.until(0, "cancelled")


async def fill(life: Life) -> None:
    """The exchange executes a part of an order that rests."""
    external = await life.placed(TEN)
    await life.struck(lambda: life.executed(external, 4, "partially_filled", in_all=4), external)


async def fill_late(life: Life) -> None:
    """The exchange executes what was cancelled, and whose workflow has ended."""
    external = await life.placed(TEN)
    await life.cancel()

    async def has_ended() -> bool:
        return life.order_id not in await running_orders(life.stack.env, [life.order_id])

    await eventually(has_ended, "the order's workflow ends")
    await life.struck(lambda: life.executed(external, 3, "cancelled", in_all=3), external)


async def fill_unknown(life: Life) -> None:
    """The exchange executes an order whose id nobody knows here, and which it does not show yet."""
    body = {**MARKET, "symbol": UNKNOWN_SYMBOL}
    order_id = life.order_id
    async with (
        rule(life.exchange, "place", order_id, "hide", seconds=8, times=1),
        rule(life.exchange, "place", order_id, "accept-then-hang", seconds=3, times=3),
    ):
        await life.struck(lambda: life.place(body), f'"symbol":"{UNKNOWN_SYMBOL}"')
        await life.until(body["numShares"], "filled")


STORIES: Final[dict[str, Callable[[Life], Awaitable[None]]]] = {
    "place": place,
    "trade": trade,
    "lose-answer": lose_answer,
    "lose-order": lose_order,
    "cancel": cancel,
    "fill-while-cancelling": fill_while_cancelling,
    "cancel-unanswered": cancel_unanswered,
    "cancel-abandoned": cancel_abandoned,
    "fill": fill,
    "fill-late": fill_late,
    "fill-unknown": fill_unknown,
}
"""By the name that a point has for it."""
