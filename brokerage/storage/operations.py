"""What operators see and set: limits, the states of accounts, and the record of who set what.

A change and its record are one transaction: neither is ever there without the other.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import asyncpg

from brokerage.domain.risk import AccountState
from brokerage.storage.pool import Connection, Pool, connection

_ACCOUNT: Final = "SELECT user_id, state, opened_at, event_seq FROM accounts WHERE user_id = $1"


@dataclass(frozen=True, slots=True)
class Authority:
    """Who makes a change, from where, and why."""

    operator: str
    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: everybody's where `subject` is empty, else of that user or symbol alone."""

    name: str
    subject: str
    value: int


@dataclass(frozen=True, slots=True)
class Account:
    """An account as operators see it; `as_of_seq` is its last order event at that moment."""

    user_id: str
    state: AccountState
    opened_at: datetime
    as_of_seq: int


@dataclass(frozen=True, slots=True)
class Act:
    """One change: `act` says of what, `before` and `after` are its values, None for none."""

    act_id: int
    at: datetime
    operator: str
    address: str
    act: str
    subject: str
    before: int | str | None
    after: int | str | None
    reason: str


async def limits_page(
    pool: "Pool[asyncpg.Record]",
    *,
    limit: int,
    after: tuple[str, str] = ("", ""),
    subject: str | None = None,
) -> list[Limit]:
    """At most `limit` limits by name and subject after `after`; `subject` keeps its own only."""
    async with connection(pool) as database:
        rows = await database.fetch(
            "SELECT name, subject, value FROM limits "
            "WHERE (name, subject) > ($1, $2) AND ($3::text IS NULL OR subject = $3) "
            "ORDER BY name, subject LIMIT $4",
            *after,
            subject,
            limit,
        )
    return [Limit(**row) for row in rows]


async def set_limit(pool: "Pool[asyncpg.Record]", limit: Limit, by: Authority) -> None:
    """Set a limit, everybody's or a subject's own; what it was is part of the record."""
    async with connection(pool) as database, database.transaction():
        before = await _locked_limit(database, limit.name, limit.subject)
        await database.execute(
            "INSERT INTO limits (name, subject, value) VALUES ($1, $2, $3) "
            "ON CONFLICT (name, subject) DO UPDATE SET value = EXCLUDED.value",
            limit.name,
            limit.subject,
            limit.value,
        )
        await _record(database, by, f"limit {limit.name}", limit.subject, before, limit.value)


async def drop_limit(pool: "Pool[asyncpg.Record]", name: str, subject: str, by: Authority) -> bool:
    """Take a subject's own value away, so that everybody's holds; False if it has none."""
    async with connection(pool) as database, database.transaction():
        before = await _locked_limit(database, name, subject)
        if before is None:
            return False
        await database.execute("DELETE FROM limits WHERE name = $1 AND subject = $2", name, subject)
        await _record(database, by, f"limit {name}", subject, before, None)
    return True


async def account(pool: "Pool[asyncpg.Record]", user_id: str) -> Account | None:
    """The user's account, if there is one."""
    async with connection(pool) as database:
        row = await database.fetchrow(_ACCOUNT, user_id)
    return _account_from(row) if row else None


async def set_account_state(
    pool: "Pool[asyncpg.Record]", user_id: str, state: AccountState, by: Authority
) -> Account | None:
    """Say what an account may do from now on; None if there is none.

    Under the user's lock, as placements are: every order whose event is after the `as_of_seq`
    answered was decided with the new state.
    """
    async with connection(pool) as database, database.transaction():
        row = await database.fetchrow(f"{_ACCOUNT} FOR UPDATE", user_id)
        if row is None:
            return None
        await database.execute(
            "UPDATE accounts SET state = $2 WHERE user_id = $1", user_id, state.value
        )
        await _record(database, by, "account-state", user_id, row["state"], state.value)
    return replace(_account_from(row), state=state)


async def note_reconciliation(pool: "Pool[asyncpg.Record]", run_id: str, by: Authority) -> None:
    """Keep who had our books compared with the exchange's statement; the run keeps it too."""
    async with connection(pool) as database:
        await _record(database, by, "reconciliation", "", None, run_id)


async def record_act(
    pool: "Pool[asyncpg.Record]", by: Authority, act: str, subject: str, before: str
) -> None:
    """Record what is done outside of the database, before it is done."""
    async with connection(pool) as database:
        await _record(database, by, act, subject, before, None)


async def acts_page(
    pool: "Pool[asyncpg.Record]",
    *,
    limit: int,
    before: int | None = None,
    subjects: Sequence[str] | None = None,
) -> list[Act]:
    """At most `limit` changes, newest first, those before the act `before`; of `subjects` only."""
    async with connection(pool) as database:
        rows = await database.fetch(
            "SELECT act_id, at, operator, address, act, subject, before, after, reason "
            "FROM operator_acts "
            "WHERE ($1::bigint IS NULL OR act_id < $1) "
            "AND ($2::text[] IS NULL OR subject = ANY ($2)) "
            "ORDER BY act_id DESC LIMIT $3",
            before,
            subjects,
            limit,
        )
    return [
        Act(**{**row, "before": _value(row["before"]), "after": _value(row["after"])})
        for row in rows
    ]


async def _locked_limit(
    database: "Connection[asyncpg.Record]", name: str, subject: str
) -> int | None:
    """What the limit is, with all other changes of limits kept out; readers go on."""
    await database.execute("LOCK TABLE limits IN SHARE ROW EXCLUSIVE MODE")
    value: int | None = await database.fetchval(
        "SELECT value FROM limits WHERE name = $1 AND subject = $2", name, subject
    )
    return value


async def _record(
    database: "Connection[asyncpg.Record]",
    by: Authority,
    act: str,
    subject: str,
    before: int | str | None,
    after: int | str | None,
) -> None:
    await database.execute(
        "INSERT INTO operator_acts (operator, address, act, subject, before, after, reason) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7)",
        by.operator,
        by.address,
        act,
        subject,
        _document(before),
        _document(after),
        by.reason,
    )


def _document(value: int | str | None) -> str | None:
    return None if value is None else json.dumps(value)


def _value(document: str | None) -> int | str | None:
    value: int | str | None = None if document is None else json.loads(document)
    return value


def _account_from(row: asyncpg.Record) -> Account:
    return Account(row["user_id"], AccountState(row["state"]), row["opened_at"], row["event_seq"])
