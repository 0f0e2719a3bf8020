"""Fifty orders, each of whose calls the exchange answers badly once, drawn from a seed."""

import random
from dataclasses import dataclass, field
from typing import Final, Literal
from uuid import UUID, uuid4

import httpx

from brokerage.contracts.ids import order_id_for
from tests.support.accounts import Account
from tests.support.eventually import eventually
from tests.support.exchange_rules import control
from tests.support.trading import MARKET, RESTING, Order, place, until

NOTHING_DONE: Final = ("error", "drop", "hang", "delay")
"""The exchange did nothing yet; with `delay` it does, when nobody waits for it any more."""
DONE: Final = ("accept-then-error", "accept-then-drop", "accept-then-hang", "garbage")
"""It did what was asked, and that is not told."""
ACTIONS: Final = (*NOTHING_DONE, *DONE, "delay-reply")
LATE_SECONDS: Final = 3.0
"""Longer than the gateway and each of our calls wait."""
IOC: Final[Order] = {"position": "buy", "symbol": "BAC", "numShares": 50, "timeInForce": "ioc"}
CASES: Final = 50

Route = Literal["place", "cancel"]


@dataclass(frozen=True, slots=True)
class Case:
    """One order, and what goes wrong with calls of `route` about it: `times` of them, or all."""

    key: str
    body: Order
    route: Route
    action: str
    times: int | None
    cancelled: bool


@dataclass(slots=True)
class Life:
    """What a user was told about one case; `rule` is the exchange's number of its fault."""

    case: Case
    order_id: str
    rule: int
    answers: list[httpx.Response] = field(default_factory=list)


def draw_cases(seed: int) -> list[Case]:
    """Every action three times against placing and twice against cancelling, and a few that are
    cancelled before they are answered or lost for good.
    """
    chance = random.Random(seed)
    wanted: list[tuple[Route, str, int | None, bool]] = [
        *((("place", action, 1, False)) for action in ACTIONS for _ in range(3)),
        *((("cancel", action, 1, True)) for action in ACTIONS for _ in range(2)),
        *((("place", action, 1, True)) for action in ("delay", "accept-then-hang")),
        *((("place", "drop", None, False)) for _ in range(3)),
    ]
    chance.shuffle(wanted)
    assert len(wanted) == CASES
    return [
        Case(
            str(UUID(int=chance.getrandbits(128), version=4)),
            RESTING if cancelled else chance.choice((RESTING, MARKET, IOC)),
            route,
            action,
            times,
            cancelled,
        )
        for route, action, times, cancelled in wanted
    ]


def one_case(route: Route, action: str) -> Case:
    """A case by itself."""
    return Case(str(uuid4()), RESTING, route, action, 1, route == "cancel")


async def begin(exchange: httpx.AsyncClient, trader: Account, case: Case) -> Life:
    """Put the case's fault in force."""
    order_id = order_id_for(trader.user, case.key)
    terms = {} if case.times is None else {"times": case.times}
    made = await control(
        exchange,
        "rules",
        action=case.action,
        match={"route": case.route, "clientOrderId": order_id},
        seconds=LATE_SECONDS,
        **terms,
    )
    return Life(case, order_id, made["id"])


async def live(trader: Account, life: Life) -> None:
    """Place the order and, where the case says so, cancel it; each until it is on record."""
    case = life.case

    async def on_record() -> bool:
        life.answers.append(await place(trader, case.body, case.key))
        return life.answers[-1].status_code in (201, 202, 422)

    await eventually(on_record, "the placement is on record", 60)
    if not case.cancelled:
        return
    if case.route == "cancel":
        await until(trader, life.order_id, lambda order: order["status"] != "pending")

    async def asked() -> bool:
        answer = await trader.http.delete(f"/order/{life.order_id}")
        return answer.status_code in (200, 202, 409)

    await eventually(asked, "the cancel is on record", 60)
