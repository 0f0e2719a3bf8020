"""The account as it was after any event: what the log says equals what was seen at the time."""

import random

import pytest

from brokerage.contracts.commands import CancelRequested, OrderKey, SettleRequest
from brokerage.contracts.events import ExecutionReport
from brokerage.domain.orders import OrderStatus
from brokerage.storage.event_reads import BalancesNotKept, SeqAhead, account_after
from brokerage.storage.reads import Portfolio
from tests.support.books import (
    Books,
    accepted,
    external_id,
    forget_balances,
)
from tests.support.orders import a_correction, a_fill, an_end

STEPS = 60
SYMBOLS = ("IBM", "SPY", "META")


class RandomLife:
    """What a customer and an exchange do to one account, drawn by chance; one event a step."""

    def __init__(self, books: Books, seed: int) -> None:
        self._books = books
        self._draw = random.Random(seed)
        self._orders: list[tuple[OrderKey, str]] = []
        self._fills: list[tuple[OrderKey, str, str, int]] = []
        self._reports = 0

    async def step(self) -> None:
        """Let one thing happen that may change the account."""
        if not self._orders or self._draw.random() < 0.3:
            await self._place()
            return
        if self._fills and self._draw.random() < 0.15:
            await self._amend()
            return
        key, external = self._draw.choice(self._orders)
        order = await self._books.order(key)
        if not order.is_open:
            # A fill that comes late, or one too much.
            await self._fill(key, external, 1)
        elif order.external_order_id is None:
            self._books.gateway.replies.append(accepted(key.order_id, external))
            await self._books.ask(self._books.exchange.resolve_submission, key)
        elif self._draw.random() < 0.7 or order.end_status is not None:
            await self._fill(key, external, self._draw.randint(1, order.shares))
        elif order.status is not OrderStatus.PENDING_CANCEL:
            await self._books.orders.request_cancel(
                CancelRequested(key.order_id, key.user_id, key.user_id, "")
            )
        else:
            await self._settle(key, an_end("cancelled", order.matched_shares, external=external))

    async def _place(self) -> None:
        start = await self._books.claim(
            symbol=self._draw.choice(SYMBOLS),
            side=self._draw.choice(("buy", "sell")),
            shares=self._draw.randint(1, 15),
            limit_price_cents=self._draw.randint(19_000, 21_000),
        )
        state = await self._books.orders.reserve(start)
        if state.status == "pending":
            self._orders.append((OrderKey(start.order_id, start.user_id), external_id()))

    async def _fill(self, key: OrderKey, external: str, shares: int) -> None:
        execution_id = self._report_id(external)
        price_cents = self._draw.randint(18_500, 21_500)
        fill = a_fill(execution_id, shares, price_cents, feed_seq=self._reports, external=external)
        await self._settle(key, fill)
        self._fills.append((key, external, execution_id, shares))

    async def _amend(self) -> None:
        """The exchange takes an execution back, or changes it."""
        key, external, execution_id, shares = self._draw.choice(self._fills)
        report = a_correction(
            self._report_id(external),
            execution_id,
            self._draw.randint(0, shares),
            self._draw.randint(18_500, 21_500),
            feed_seq=self._reports,
            external=external,
        )
        await self._settle(key, report)

    async def _settle(self, key: OrderKey, report: ExecutionReport) -> None:
        await self._books.orders.settle(SettleRequest(key.order_id, key.user_id, [report]))

    def _report_id(self, external: str) -> str:
        self._reports += 1
        return f"{external}-{self._reports}"


@pytest.mark.parametrize("seed", [2, 3, 4])
async def test_account_after_every_event_of_a_random_life_is_what_was_seen_then(
    books: Books, seed: int
) -> None:
    life = RandomLife(books, seed)
    seen = [await books.balances()]
    for _ in range(STEPS):
        await life.step()
        seen.append(await books.balances())

    assert seen[-1].as_of_seq >= STEPS // 2
    assert len({position.symbol for one in seen for position in one.positions}) > 1
    for balances in seen:
        assert await past(books, balances.as_of_seq) == balances


async def past(books: Books, seq: int) -> Portfolio:
    found = await account_after(books.pool, books.user_id, seq)
    assert found is not None
    return found.portfolio


async def test_account_before_its_first_event_is_its_opening(books: Books) -> None:
    opening = await books.balances()
    await books.reserved()

    assert await past(books, 0) == opening
    assert await past(books, 1) == await books.balances() != opening


async def test_event_that_never_was_says_where_the_log_ends(books: Books) -> None:
    await books.reserved()

    with pytest.raises(SeqAhead) as ahead:
        await account_after(books.pool, books.user_id, 2)

    assert ahead.value.last_seq == 1


async def test_nobody_has_no_past(books: Books) -> None:
    assert await account_after(books.pool, "nobody", 0) is None


async def test_balances_of_events_from_before_they_were_kept_are_not_guessed(
    books: Books,
) -> None:
    key = await books.reserved()
    async with books.pool.acquire() as database:
        await forget_balances(database, books.user_id)
    other = await books.reserved(symbol="SPY")
    await books.orders.request_cancel(CancelRequested(key.order_id, key.user_id, key.user_id, ""))

    assert other.order_id != key.order_id
    for seq in (1, 2):  # after 2 its own balances are known, those of IBM are not
        with pytest.raises(BalancesNotKept):
            await account_after(books.pool, books.user_id, seq)
    assert await past(books, 3) == await books.balances()
