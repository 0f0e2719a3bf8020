"""The activities of an order over a real Postgres, with a gateway that says what it is told to."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar, cast
from uuid import uuid4

import asyncpg
import pytest
from asyncpg.pool import PoolConnectionProxy
from temporalio.testing import ActivityEnvironment

from activities.exchange import ExchangeActivities
from activities.notices import Notices
from activities.orders import OrderActivities
from brokerage.bus.connection import Bus
from brokerage.contracts import placements
from brokerage.contracts.commands import OrderKey, StartOrder
from brokerage.contracts.gateway import (
    CancelRequest,
    ExternalOrder,
    GatewayReply,
    PlaceRequest,
    QueryRequest,
)
from brokerage.contracts.ids import order_id_for
from brokerage.domain.orders import Order
from brokerage.gateway.client import GatewayClient
from brokerage.runtime.settings import Settings
from brokerage.storage import admission
from brokerage.storage.audit import read_audit
from brokerage.storage.migrate import migrate
from brokerage.storage.openings import open_account
from brokerage.storage.pool import DatabaseUnavailable, Limits, open_pool
from brokerage.storage.reads import Portfolio, order_of_user, portfolio
from brokerage.storage.writes import OrderWriter
from tests.support.eventually import eventually

T = TypeVar("T")

LAST_PRICE_CENTS = 20_000
PATIENT = Limits(acquire=60.0, statement=60.0, lock=60.0, idle=60.0)
"""How long a test's own calls wait for Postgres: a machine may stand still for a while."""
SEND_BY_SECONDS = 600
"""What a test's own orders have in place of the seconds of a real one."""


class NotedBus(Bus):
    """A bus that only remembers the hints it was given."""

    def __init__(self) -> None:
        self.notices: list[tuple[str, bytes]] = []

    async def notify(self, subject: str, payload: bytes) -> None:
        self.notices.append((subject, payload))

    def subjects(self) -> list[str]:
        """What the hints were about, in order."""
        return [subject for subject, _ in self.notices]


class ToldGateway(GatewayClient):
    """Answers with what was put into `replies`, in order, and remembers what it was asked.

    A request for which no answer was put in fails the test. `before_answer` runs while a cancel is
    on its way.
    """

    def __init__(self) -> None:
        self.replies: list[GatewayReply] = []
        self.asked: list[PlaceRequest | CancelRequest | QueryRequest] = []
        self.before_answer: Callable[[], Awaitable[object]] | None = None

    async def place(self, request: PlaceRequest, timeout_seconds: float = 1.0) -> GatewayReply:
        return self._answer(request)

    async def cancel(self, request: CancelRequest, timeout_seconds: float = 1.0) -> GatewayReply:
        if self.before_answer is not None:
            await self.before_answer()
        return self._answer(request)

    async def query(self, request: QueryRequest, timeout_seconds: float = 1.0) -> GatewayReply:
        return self._answer(request)

    def _answer(self, request: PlaceRequest | CancelRequest | QueryRequest) -> GatewayReply:
        self.asked.append(request)
        assert self.replies, f"nothing was told to answer {request}"
        return self.replies.pop(0)


def accepted(
    order_id: str,
    external: str,
    status: str = "open",
    cumulative: int = 0,
    outcome: Any = "accepted",
) -> GatewayReply:
    """The exchange's answer that names its order."""
    return GatewayReply(outcome, ExternalOrder(external, order_id, status, cumulative))


def as_worker(activities: T) -> T:
    """The same activities, each run as a worker would: it can ask which attempt it is."""

    class InWorker:
        def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
            return partial(ActivityEnvironment().run, getattr(activities, name))

    return cast(T, InWorker())


@dataclass(frozen=True)
class Books:
    """One user's way to the books."""

    pool: "asyncpg.Pool[asyncpg.Record]"
    writer: OrderWriter
    gateway: ToldGateway
    bus: NotedBus
    orders: OrderActivities
    exchange: ExchangeActivities
    user_id: str

    async def claim(self, key: str | None = None, **terms: Any) -> StartOrder:
        """Claim a key, as the API does; the start of the order it stands for.

        Neither a rate limit nor the placing lock stands in the way.
        """
        key = key or str(uuid4())
        order_id = order_id_for(self.user_id, key)
        await self.forget_admission()
        claim = await admission.claim_key(
            self.pool,
            user_id=self.user_id,
            key=key,
            order_id=order_id,
            symbol=terms.get("symbol", "IBM"),
            body_hash=b"body",
            last_price_cents=LAST_PRICE_CENTS,
        )
        asked: dict[str, Any] = {
            "symbol": "IBM",
            "side": "buy",
            "shares": 10,
            "limit_price_cents": 20_000,
            "claimed_at_ms": claim.claimed_at_ms,
        }
        return StartOrder(
            order_id=order_id,
            user_id=self.user_id,
            idempotency_key=key,
            last_price_cents=claim.last_price_cents,
            **(asked | terms),
        )

    async def forget_admission(self) -> None:
        """Give the user every token back, and free their placing locks."""
        for statement in (
            "DELETE FROM order_rates WHERE scope = 'user' AND subject = $1",
            "DELETE FROM placing_locks WHERE user_id = $1",
        ):
            await self.pool.execute(statement, self.user_id)

    async def reserved(self, **terms: Any) -> OrderKey:
        """An order that is pending, with its hold."""
        start = await self.claim(**terms)
        state = await self.orders.reserve(start)
        assert state.status == "pending"
        return OrderKey(start.order_id, self.user_id)

    async def submitted(self, external: str, **terms: Any) -> OrderKey:
        """An order that the exchange has, under the id `external`."""
        key = await self.reserved(**terms)
        self.gateway.replies.append(accepted(key.order_id, external))
        state = await self.ask(self.exchange.resolve_submission, key)
        assert state.status == "submitted"
        return key

    async def ask(self, activity: Callable[..., Awaitable[T]], argument: object) -> T:
        """Run an activity as a worker would, with an attempt number to look at."""
        return await activity(argument)

    async def order(self, key: OrderKey) -> Order:
        """The order as it is stored."""
        found = await order_of_user(self.pool, key.user_id, key.order_id)
        assert found is not None
        return found

    async def past_send_by(self, key: OrderKey) -> None:
        """Make it later than the order may be sent, and than the proof of its absence needs."""
        await self.pool.execute(
            "UPDATE orders SET send_by = now() - interval '5 seconds' "
            "WHERE user_id = $1 AND order_id = $2",
            key.user_id,
            key.order_id,
        )

    async def balances(self) -> Portfolio:
        """The user's cash and positions, as they are also known of the past."""
        found = await portfolio(self.pool, self.user_id)
        assert found is not None
        return replace(found, state=None)

    async def count(self, table: str) -> int:
        """How many rows of the user there are in a table."""
        rows: int = await self.pool.fetchval(
            f"SELECT count(*) FROM {table} WHERE user_id = $1", self.user_id
        )
        return rows


@asynccontextmanager
async def books_of_a_new_user(
    database_url: str,
    cash_cents: int = 1_000_000,
    shares: int = 50,
    gateway: ToldGateway | None = None,
) -> AsyncIterator[Books]:
    """Open an account with cash and shares of IBM, and a pool to reach it."""
    settings = Settings(database_url=database_url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(placements, "SEND_BY_SECONDS", SEND_BY_SECONDS)
        async with open_pool(settings, PATIENT) as pool:
            user_id = f"user-{uuid4().hex[:12]}"
            prices = {"IBM": LAST_PRICE_CENTS}
            await open_account(pool, user_id, cash_cents, {"IBM": shares}, prices)
            writer, bus, gateway = OrderWriter(pool), NotedBus(), gateway or ToldGateway()
            notices = Notices(bus)
            yield Books(
                pool,
                writer,
                gateway,
                bus,
                as_worker(OrderActivities(writer, notices)),
                as_worker(ExchangeActivities(writer, gateway, notices)),
                user_id,
            )


@asynccontextmanager
async def audited_books(database_url: str) -> AsyncIterator[Books]:
    """The books of a new user on our schema; in the end they must not contradict themselves."""
    await migrate(database_url)
    async with books_of_a_new_user(database_url) as books:
        yield books
        audit = await read_audit(books.pool)
        mine = {order.order_id for order in audit.orders if order.user_id == books.user_id}
        assert [
            found
            for found in audit.contradictions
            if found.where in mine or found.where.startswith(books.user_id)
        ] == []


async def forget_balances(
    database: "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]",
    user_id: str,
) -> None:
    """Make all events of the user such as were written before balances were kept with them; then
    they were not chained yet either, and nobody takes them for changed.
    """
    async with database.transaction():
        # The trigger that keeps the log append-only is told to look away.
        await database.execute("SET LOCAL session_replication_role = replica")
        await database.execute(
            "UPDATE order_events SET cash_cents = NULL, held_cents = NULL, position_shares = NULL,"
            " held_shares = NULL, link = NULL, hash = NULL WHERE user_id = $1",
            user_id,
        )
        await database.execute("DELETE FROM order_notes WHERE user_id = $1", user_id)
        await database.execute(
            "UPDATE orders SET links = 0, trail_hash = NULL WHERE user_id = $1", user_id
        )


def external_id() -> str:
    """An id of the exchange that no other test uses."""
    return f"x-{uuid4().hex[:12]}"


async def until_done(step: Callable[[], Awaitable[T]]) -> T:
    """Repeat a step while Postgres is too busy to answer, as the workflow would."""

    async def attempt() -> T:
        try:
            return await step()
        except DatabaseUnavailable as error:
            raise AssertionError("Postgres is too busy") from error

    answer: T = await eventually(attempt, "Postgres answers")
    return answer
