"""What comes late proves nothing and changes nothing: an answer, and what a thawed worker does."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.exchange import VISIBILITY_SECONDS, ExchangeActivities
from activities.notices import Notices
from activities.orders import OrderActivities
from brokerage.contracts.commands import CancelRequested, OrderKey, OrderState, StartOrder
from brokerage.contracts.gateway import ExternalOrder, GatewayReply, QueryRequest
from brokerage.contracts.placements import SEND_BY_SECONDS
from brokerage.storage.writes import OrderWriter
from tests.support.books import NotedBus, ToldGateway, as_worker
from tests.unit.outcomes.case import substituted_clocks
from tests.unit.outcomes.chance import Chance
from tests.unit.outcomes.postgres import MemoryPostgres, Rows
from tests.unit.outcomes.virtual_time import run_in_virtual_time, wall_ms
from tests.unit.outcomes.workers import Worker

KEY = OrderKey("0b9bb1b6-7d6a-5c0b-8a5e-1f4f6f0f0001", "ada")
PROOF_AT = SEND_BY_SECONDS + VISIBILITY_SECONDS
ANSWER_SECONDS = 1.5


@pytest.fixture(autouse=True)
def virtual_clocks() -> Iterator[None]:
    with substituted_clocks():
        yield


class SlowGateway(ToldGateway):
    """Takes its time to answer a query."""

    async def query(self, request: QueryRequest, timeout_seconds: float = 1.0) -> GatewayReply:
        await asyncio.sleep(ANSWER_SECONDS)
        return await super().query(request, timeout_seconds)


class Desk:
    """A pending order, and the activities that work on it; nothing here fails."""

    def __init__(self) -> None:
        chance = Chance(random.Random(1), rates={}, calm_at=0)
        server = MemoryPostgres(chance, Rows(1_000_000, {"IBM": 0}))
        pool: Any = server.pool_of(Worker(chance, "worker"))
        writer, notices = OrderWriter(pool), Notices(NotedBus())
        self.gateway = SlowGateway()
        self.orders = as_worker(OrderActivities(writer, notices))
        self.exchange = as_worker(ExchangeActivities(writer, self.gateway, notices))

    async def reserve(self) -> OrderState:
        """Take the order in."""
        return await self.orders.reserve(
            StartOrder(
                KEY.order_id,
                KEY.user_id,
                symbol="IBM",
                side="buy",
                shares=1,
                limit_price_cents=20_000,
                idempotency_key="key",
                claimed_at_ms=wall_ms(),
                last_price_cents=20_000,
            )
        )

    async def ask(self, activity: Callable[[OrderKey], Awaitable[OrderState]]) -> OrderState:
        """Run an activity as a worker would."""
        return await activity(KEY)


async def resolved_at(seconds: float, *replies: GatewayReply) -> OrderState:
    """What becomes of a pending order whose fate is asked for so late after its claim."""
    desk = Desk()
    await desk.reserve()
    await asyncio.sleep(seconds - asyncio.get_running_loop().time())
    desk.gateway.replies.extend(replies)
    return await desk.ask(desk.exchange.resolve_submission)


def test_an_answer_that_comes_late_to_a_question_asked_early_proves_nothing() -> None:
    # The exchange may still have hidden the order when it was asked. A cancel here would end it.
    asked_early = PROOF_AT - ANSWER_SECONDS / 2

    with pytest.raises(ApplicationError, match="absent"):
        run_in_virtual_time(resolved_at(asked_early, GatewayReply("absent")))


def test_once_everything_accepted_is_visible_absence_and_the_promise_are_proof() -> None:
    story = resolved_at(PROOF_AT, GatewayReply("absent"), GatewayReply("absent"))

    assert run_in_virtual_time(story).status == "failed"


def test_a_wish_to_cancel_that_was_answered_is_not_recorded_again_by_a_thawed_worker() -> None:
    async def story() -> tuple[OrderState, OrderState, OrderState]:
        desk = Desk()
        reserved = await desk.reserve()
        wish = CancelRequested(KEY.order_id, KEY.user_id, KEY.user_id, "", reserved.version)
        asked = await desk.orders.request_cancel(wish)
        kept = ExternalOrder("x-1", KEY.order_id, "open", 0)
        desk.gateway.replies.append(GatewayReply("refused", kept, code="trading"))
        live_again = await desk.ask(desk.exchange.send_cancel)
        return asked, live_again, await desk.orders.request_cancel(wish)

    asked, live_again, thawed = run_in_virtual_time(story())

    assert asked.status == "pending_cancel"
    # Were it pending again, nobody would ask the exchange: the workflow has its answer.
    assert (thawed.status, thawed.version) == ("submitted", live_again.version)
