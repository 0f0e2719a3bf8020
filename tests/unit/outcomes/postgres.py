"""As much of Postgres as the writer of orders uses, in memory: one user's rows behind one lock.

It stands in for the driver's pool, so that `brokerage/storage/writes.py` runs as it is. Statements
are known by their text, and done here by what they mean; that they mean it in SQL too is shown by
the tests on a real server.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import asyncpg

from brokerage.domain.ledger import CASH
from brokerage.storage.pool import LOCK_TIMEOUT_SECONDS
from brokerage.storage.statements import BOOK_REPORT, CHANGE_ORDER, NEW_ORDER, NOTE
from tests.unit.outcomes.chance import Chance
from tests.unit.outcomes.workers import Worker

IDLE_IN_TRANSACTION_SECONDS: Final = 5.0
NO_LIMITS: Final = {
    "order_shares_max": 10**6,
    "order_notional_cents_max": 10**12,
    "position_shares_max": 10**6,
    "incoming_shares": 0,
    "opposing_order": None,
}
STORE_FAULTS: Final = {"unreachable": 3, "slow": 2}
COMMIT_FAULTS: Final = {"lost before the commit": 2, "committed, the answer lost": 3}


class Leg(NamedTuple):
    """A row of the ledger."""

    source: str
    account: str
    asset: str
    cause: str | None
    amount: int


@dataclass
class Rows:
    """One user's rows; a transaction works on a copy."""

    cash_cents: int
    shares: dict[str, int]
    held_cents: int = 0
    held_shares: Counter[str] = field(default_factory=Counter)
    seq: int = 0
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    holds: dict[str, int] = field(default_factory=dict)
    routes: dict[str, str] = field(default_factory=dict)
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    steps: frozenset[tuple[str, str]] = frozenset()
    replies: dict[str, tuple[int, str]] = field(default_factory=dict)
    ledger: tuple[Leg, ...] = ()

    def copy(self) -> "Rows":
        """What a transaction writes on."""
        return replace(
            self,
            shares=dict(self.shares),
            held_shares=self.held_shares.copy(),
            orders=dict(self.orders),
            holds=dict(self.holds),
            routes=dict(self.routes),
            reports=dict(self.reports),
            waiting=dict(self.waiting),
            replies=dict(self.replies),
        )

    def check(self) -> None:
        """What the tables themselves refuse."""
        fits = 0 <= self.held_cents <= self.cash_cents and all(
            0 <= self.held_shares[symbol] <= shares for symbol, shares in self.shares.items()
        )
        if not fits:
            raise asyncpg.CheckViolationError("a balance is below its hold")


class MemoryPostgres:
    """The server. `rows` is what is committed."""

    def __init__(self, chance: Chance, rows: Rows) -> None:
        self.chance = chance
        self.rows = rows
        self.lock = asyncio.Lock()

    def pool_of(self, worker: Worker) -> "MemoryPool":
        """A pool of a worker's, in place of the driver's."""
        return MemoryPool(self, worker)


class MemoryPool:
    """What `brokerage.storage.pool.connection` needs of a pool."""

    def __init__(self, server: MemoryPostgres, worker: Worker) -> None:
        self._server = server
        self._worker = worker

    @asynccontextmanager
    async def acquire(self, timeout: float) -> AsyncIterator["_Connection"]:
        """A connection; a fault of the server shows here first."""
        await self._worker.gate("before the database")
        match self._server.chance.fate("database", STORE_FAULTS):
            case "unreachable":
                raise ConnectionRefusedError
            case "slow":
                await asyncio.sleep(self._server.chance.seconds(0.1, 3.0))
        await self._server.chance.passes(0.0005, 0.004)
        yield _Connection(self._server, self._worker)
        await self._worker.gate("after the database")


class _Connection:
    """One connection, with at most one transaction."""

    def __init__(self, server: MemoryPostgres, worker: Worker) -> None:
        self._server = server
        self._worker = worker
        self._rows: Rows | None = None
        self._locked = False
        self._timed_out: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """All of it, or nothing; a frozen client's is ended by the server."""
        try:
            yield
            await self._worker.gate("before the commit")
            if self._rows is not None:
                self._commit(self._rows)
        finally:
            self._unlock()

    async def fetchrow(self, sql: str, *values: Any) -> dict[str, Any] | None:
        """The books under the user's lock, or an order with its reply."""
        if "lock_books" in sql:
            return await self._lock_books(*values)
        _, order_id = values
        order = self._server.rows.orders.get(order_id)
        if order is None:
            return None
        status, body = self._server.rows.replies.get(order["idempotency_key"], (None, None))
        return {**order, "reply_status": status, "reply_body": body}

    async def fetchval(self, sql: str, *values: Any) -> int | None:
        """One of the four statements that write; notes of attempts are not modelled."""
        writing = (BOOK_REPORT, CHANGE_ORDER, NEW_ORDER, NOTE)
        statement = next(one for one in writing if one.text == sql)
        named = dict(zip(statement.names, values, strict=True))
        if statement is NOTE and named["report_id"] is None:
            return None
        rows = self._rows
        assert rows is not None, "written outside a transaction"
        if statement is NOTE:
            rows.reports[named["report_id"]] = named
            return None
        return _write(rows, named, new=statement is NEW_ORDER)

    async def fetch(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """What a bust or a correction needs to know."""
        rows = self._rows
        assert rows is not None, "read outside a transaction"
        if "waiting_amendments" in sql:
            return [{"report": report} for report in rows.waiting.values()]
        if "execution_reports" in sql:
            _, execution_id = values
            return [
                report
                for report in rows.reports.values()
                if report["report_kind"] != "end"
                and execution_id in (report["report_id"], report["amends"])
            ]
        assert "ledger_entries" in sql
        _, sources = values
        sums: Counter[tuple[str, str, str | None]] = Counter()
        for leg in rows.ledger:
            if leg.source in sources:
                sums[leg.account, leg.asset, leg.cause] += leg.amount
        return [
            {"account": account, "asset": asset, "cause": cause, "amount": amount}
            for (account, asset, cause), amount in sums.items()
        ]

    async def execute(self, sql: str, *values: Any) -> None:
        """Let an amendment wait, or no longer; free the placing lock, which nobody waits for."""
        if "placing_locks" in sql:
            return
        rows = self._rows
        assert rows is not None, "written outside a transaction"
        assert "waiting_amendments" in sql
        _, report_id, *report = values
        if report:
            rows.waiting.setdefault(report_id, report[0])
        else:
            del rows.waiting[report_id]

    async def _lock_books(
        self, user_id: str, order_id: str, symbol: str, side: str, reports: list[str]
    ) -> dict[str, Any]:
        try:
            async with asyncio.timeout(LOCK_TIMEOUT_SECONDS):
                await self._server.lock.acquire()
        except TimeoutError as error:
            raise asyncpg.LockNotAvailableError("lock timeout") from error
        self._locked = True
        self._timed_out = asyncio.get_running_loop().call_later(
            IDLE_IN_TRANSACTION_SECONDS, self._unlock
        )
        rows = self._rows = self._server.rows.copy()
        order = rows.orders.get(order_id)
        symbol = order["symbol"] if order else symbol
        return {
            "cash_cents": rows.cash_cents,
            "held_cents": rows.held_cents,
            "position_shares": rows.shares.get(symbol, 0),
            "held_shares": rows.held_shares[symbol],
            "hold_shares": rows.holds.get(order_id, 0),
            "known_reports": [one for one in reports if one in rows.reports],
            "order": order,
            "state": "active",
            "standing": NO_LIMITS,
        }

    def _commit(self, rows: Rows) -> None:
        if not self._locked:
            raise asyncpg.IdleInTransactionSessionTimeoutError("the server ended it")
        fate = self._server.chance.fate("database", COMMIT_FAULTS)
        if fate != "lost before the commit":
            rows.check()
            self._server.rows = rows
        if fate != "well":
            raise asyncpg.ConnectionDoesNotExistError("connection lost")

    def _unlock(self) -> None:
        if self._timed_out is not None:
            self._timed_out.cancel()
        if self._locked:
            self._locked = False
            self._server.lock.release()


def _write(rows: Rows, named: dict[str, Any], *, new: bool) -> int | None:
    """What `NEW_ORDER`, `CHANGE_ORDER` and `BOOK_REPORT` do."""
    order_id, before = named["order_id"], rows.orders.get(named["order_id"])
    step = (order_id, named["step"])
    if step in rows.steps or (new and before is not None) or named.get("report_id") in rows.reports:
        raise asyncpg.UniqueViolationError(f"{step} is there already")
    if not new and (before is None or before["version"] != named["version"] - 1):
        return None
    key = named["idempotency_key"] if before is None else before["idempotency_key"]
    rows.orders[order_id] = {**(before or {}), **named, "idempotency_key": key}
    rows.steps |= {step}
    if named.get("newly_mapped"):
        rows.routes[named["newly_mapped"]] = order_id
    if named.get("report_id"):
        rows.reports[named["report_id"]] = named
    if named["reply_status"] is not None:
        rows.replies.setdefault(key, (named["reply_status"], named["reply_body"]))
    symbol = named["symbol"]
    rows.cash_cents += named["cash_cents_delta"]
    rows.held_cents += named["held_cents_delta"]
    rows.shares[symbol] = rows.shares.get(symbol, 0) + named["position_shares_delta"]
    rows.held_shares[symbol] += named["held_shares_delta"]
    rows.holds[order_id] = named["hold_shares"]
    columns = ("accounts", "assets", "causes", "amounts")
    for leg in zip(*(named.get(f"posting_{column}", ()) for column in columns), strict=True):
        rows.ledger += (Leg(named["source"], *leg),)
    rows.seq += 1
    return rows.seq


def cash_of(rows: Rows, account: str) -> int:
    """What the ledger adds up to for an account, in cents."""
    return sum(leg.amount for leg in rows.ledger if (leg.account, leg.asset) == (account, CASH))
