"""What a developer has the simulated exchange do to an order, it does, and the owner sees it."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from api.simulating import HEADER
from brokerage.contracts.simulations import SIMULATIONS
from brokerage.gateway.exchange import CALL_SECONDS
from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.eventually import comes_true, eventually
from tests.support.exchange_rules import exchange_of
from tests.support.order_follower import following
from tests.support.trading import Order, read

SHARES: Final = 10
BUY: Final[Order] = {"position": "buy", "symbol": "SPY", "numShares": SHARES}
END_SECONDS: Final = 90.0
FILLED_SHARES: Final = {
    "rest": 0,
    "fill": SHARES,
    "partial": SHARES // 2,
    "slow": SHARES,
    "reject": 0,
    "halted": 0,
    "lost-reply": 0,
    "hang": SHARES,
    "lost": 0,
    "late-fill": SHARES,
    "too-late": SHARES,
    "slow-cancel": SHARES // 2,
    "refuse-cancel": SHARES // 2,
    "expire": 0,
    "unsolicited-cancel": 0,
    "bust": 0,
    "correct": SHARES,
}
LATE_PATHS: Final = {
    "late-fill": "pending, submitted, pending_cancel, filled",
    "refuse-cancel": "pending, submitted?, partially_filled, pending_cancel, cancelled",
}
"""Where the answer to the cancel came later than it is waited for: the fill was booked before it,
or the cancel was sent again.
"""
LAST_KINDS: Final = {"bust": "bust", "correct": "correction"}
"""Of those that end without a change of status."""


@dataclass
class Seen:
    """What the owner of one order saw."""

    answer: httpx.Response
    cancel: httpx.Response | None = None
    cancel_seconds: float = 0.0
    events: list[Any] = field(default_factory=list)
    portfolio: dict[str, Any] = field(default_factory=dict)

    @property
    def order(self) -> Order:
        """The order as the last event has it."""
        order: Order = self.events[-1]["order"]
        return order

    @property
    def kinds(self) -> list[str]:
        """What happened, in order."""
        return [event["kind"] for event in self.events]

    @property
    def statuses(self) -> str:
        """The statuses it went through, in order."""
        statuses = (event["order"]["status"] for event in self.events)
        return ", ".join(status for status, _ in groupby(statuses))

    def goes_late(self, name: str) -> bool:
        """Whether it went the other way of this simulation, on a machine that was too slow."""
        late = self.cancel_seconds >= CALL_SECONDS
        return late and name in LATE_PATHS and takes(LATE_PATHS[name], self.statuses)

    def filled_while_cancelling(self) -> list[int]:
        """The shares of each fill after the cancel was asked for, up to the end."""
        begin = self.kinds.index("cancel-requested")
        end = next(n for n, one in enumerate(self.events) if one["order"]["status"] == "cancelled")
        return [
            event["execution"]["shares"]
            for event in self.events[begin : end + 1]
            if event["kind"] == "fill"
        ]


Outcomes = dict[str, Seen | Exception]


async def answered(ask: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """The answer, asked for again where the machine is too busy."""

    async def attempt() -> httpx.Response:
        answer = await ask()
        assert answer.status_code != 503, answer.text
        return answer

    answer: httpx.Response = await eventually(attempt, "there is an answer", END_SECONDS)
    return answer


async def send(alice: Account, name: str, key: str, body: Order = BUY) -> httpx.Response:
    """Place it with the header."""
    headers = {"idempotency-key": key, HEADER: name}
    return await answered(lambda: alice.http.post("/order", json=body, headers=headers))


async def cancel(alice: Account, order: Order) -> httpx.Response:
    """The answer to a cancel, sent again as long as it is not on record: a second one counts."""

    async def attempt() -> httpx.Response:
        answer = await alice.http.delete(f"/order/{order['id']}")
        if answer.status_code == 503:
            # It may still be on its way.
            assert await comes_true(is_on_record, 10), answer.text
        return answer

    async def is_on_record() -> bool:
        return bool((await read(alice, order["id"])).get("version", 0) > order["version"])

    answer: httpx.Response = await eventually(attempt, "the cancel is on record", END_SECONDS)
    return answer


def takes(path: str, statuses: str) -> bool:
    """Whether these statuses are the path; `submitted?` may be left out."""
    return bool(re.fullmatch(path.replace("submitted?, ", "(submitted, )?"), statuses))


async def watch(stack: DevStack, name: str) -> Seen:
    """Place an order, cancel it where that is the client's part, and follow it to its end."""
    wanted = SIMULATIONS[name]
    async with account(stack.api_url) as alice, following(alice.http, {"after": 0}) as stream:
        seen = Seen(await send(alice, name, str(uuid4())))

        def told() -> bool:
            seen.events = stream.told("order")
            last = LAST_KINDS.get(name)
            went = takes(wanted.path, seen.statuses) or seen.goes_late(name)
            return went and last in (None, seen.kinds[-1])

        if wanted.is_cancelled:
            before = wanted.path.partition(", pending_cancel")[0]

            def rests() -> bool:
                seen.events = stream.told("order")
                return takes(before, seen.statuses)

            await eventually(rests, f"{name}: {before}, not {seen.statuses}", END_SECONDS)
            began = time.monotonic()
            seen.cancel = await cancel(alice, seen.order)
            seen.cancel_seconds = time.monotonic() - began
        try:
            await eventually(told, f"{name}: {wanted.path}", END_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{name} went {seen.statuses}: {seen.kinds}") from error
        seen.portfolio = (await answered(lambda: alice.http.get("/portfolio"))).json()
    return seen


async def outcome(stack: DevStack, name: str) -> Seen | Exception:
    """What was seen, or why it was not: one that fails must not end the others."""
    try:
        return await watch(stack, name)
    except Exception as error:  # noqa: BLE001 - raised again by the tests of this one
        return error


@pytest.fixture(scope="module")
async def outcomes(stack: DevStack) -> Outcomes:
    """Every simulation at once, each by a user of its own: some take a quarter of a minute."""
    async with asyncio.TaskGroup() as tasks:
        watching = {name: tasks.create_task(outcome(stack, name)) for name in SIMULATIONS}
    return {name: task.result() for name, task in watching.items()}


def seen_of(outcomes: Outcomes, name: str) -> Seen:
    """What was seen of one; raises what kept it from being seen."""
    seen = outcomes[name]
    if isinstance(seen, Exception):
        raise seen
    return seen


@pytest.mark.parametrize("name", SIMULATIONS)
async def test_order_goes_the_way_that_its_header_names(outcomes: Outcomes, name: str) -> None:
    seen = seen_of(outcomes, name)

    assert takes(SIMULATIONS[name].path, seen.statuses) or seen.goes_late(name)
    assert seen.order["filledShares"] == FILLED_SHARES[name]
    is_open = seen.order["status"] in ("submitted", "partially_filled")
    assert (seen.portfolio["heldCashInCents"] > 0) == is_open


@pytest.mark.parametrize(
    ("name", "statuses", "code"),
    [
        ("rest", {201, 202}, None),
        ("reject", {422, 202}, "refused-by-exchange"),
        ("halted", {422, 202}, "refused-by-exchange"),
        ("lost-reply", {201, 202}, None),
        ("hang", {201, 202}, None),
        ("lost", {202, 422}, "not-placed"),
    ],
)
async def test_placement_is_answered_by_what_is_known_of_it(
    outcomes: Outcomes, name: str, statuses: set[int], code: str | None
) -> None:
    seen = seen_of(outcomes, name)

    assert seen.answer.status_code in statuses
    if seen.answer.status_code == 422:
        assert seen.answer.json()["code"] == code


async def test_refusals_tell_their_reasons(outcomes: Outcomes) -> None:
    assert seen_of(outcomes, "reject").order["reason"] == "refused"
    assert seen_of(outcomes, "halted").order["reason"] == "halted"


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("late-fill", {200, 202}),
        ("too-late", {409, 202}),
        ("slow-cancel", {200, 202}),
        ("refuse-cancel", {409, 202}),
    ],
)
async def test_cancel_is_answered_by_what_is_known_of_it(
    outcomes: Outcomes, name: str, statuses: set[int]
) -> None:
    seen = seen_of(outcomes, name)

    assert seen.cancel is not None
    # On a machine too busy to look what became of it: it is on record all the same.
    late = {200, 409} if seen.goes_late(name) else set()
    assert seen.cancel.status_code in statuses | {503} | late, seen.cancel.text


async def test_fill_comes_while_the_cancel_is_pending(
    outcomes: Outcomes,
) -> None:
    assert seen_of(outcomes, "slow-cancel").filled_while_cancelling() == [SHARES // 2]


async def test_slow_order_is_filled_in_two_parts(outcomes: Outcomes) -> None:
    fills = [event["execution"] for event in seen_of(outcomes, "slow").events if event["execution"]]

    assert [fill["shares"] for fill in fills] == [SHARES // 2, SHARES // 2]


async def test_bust_gives_the_money_back_and_a_correction_a_cent_a_share(
    outcomes: Outcomes,
) -> None:
    busted, corrected = seen_of(outcomes, "bust"), seen_of(outcomes, "correct")
    untouched = seen_of(outcomes, "rest")
    notionals = [event["order"]["filledNotionalInCents"] for event in corrected.events[-2:]]

    assert busted.portfolio["cashInCents"] == untouched.portfolio["cashInCents"]
    assert notionals[0] - notionals[1] == SHARES


async def test_repeat_with_the_same_key_simulates_nothing_new(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        first = await send(alice, "rest", key)
        again = await send(alice, "fill", key)
        plans = (await exchange.get("/v1/control/plans")).json()["items"]
        order = await read(alice, first.json()["id"])

    assert again.json()["id"] == first.json()["id"]
    [plan] = [one["plan"] for one in plans if one["plan"]["clientOrderId"] == order["id"]]
    assert plan["acts"] == []
    assert order["filledShares"] == 0


async def test_order_that_is_on_record_is_not_simulated_afterwards(stack: DevStack) -> None:
    key = str(uuid4())
    far_below = BUY | {"priceInCents": 100}
    headers = {"idempotency-key": key}
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:

        async def placed() -> httpx.Response:
            answer = await alice.http.post("/order", json=far_below, headers=headers)
            assert answer.status_code == 201, answer.text
            return answer

        first = await eventually(placed, "the exchange has the order", END_SECONDS)
        again = await send(alice, "fill", key, far_below)
        plans = (await exchange.get("/v1/control/plans")).json()["items"]

    assert (again.status_code, again.content) == (201, first.content)
    assert first.json()["id"] not in [one["plan"]["clientOrderId"] for one in plans]


async def test_immediate_order_ends_with_what_it_got_at_once(stack: DevStack) -> None:
    async with account(stack.api_url) as alice:
        answer = await send(alice, "partial", str(uuid4()), BUY | {"timeInForce": "ioc"})
        order_id = answer.json()["id"]

        async def has_ended() -> bool:
            return bool((await read(alice, order_id))["status"] == "cancelled")

        await eventually(has_ended, "the order has ended", END_SECONDS)
        order = await read(alice, order_id)

    assert order["filledShares"] == SHARES // 2


@pytest.mark.parametrize("values", [["no-such-thing"], [""], ["fill", "fill"]])
async def test_unknown_name_is_refused_with_the_names_there_are(
    stack: DevStack, alice: Account, values: list[str]
) -> None:
    key = str(uuid4())
    headers = [("idempotency-key", key), *((HEADER, value) for value in values)]

    answer = await alice.http.post("/order", json=BUY, headers=headers)
    found = await alice.http.get("/orders", params={"idempotencyKey": key})

    assert (answer.status_code, answer.json()["code"]) == (422, "unknown-simulation")
    assert answer.json()["values"] == list(SIMULATIONS)
    assert found.json()["items"] == []
