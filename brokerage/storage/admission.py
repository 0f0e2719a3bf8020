"""What the API writes before any workflow exists: a claimed idempotency key."""

from dataclasses import dataclass
from typing import Literal

import asyncpg

from brokerage.contracts.commands import Reply
from brokerage.storage.pool import Pool, connection


@dataclass(frozen=True, slots=True)
class OrderRate:
    """What a user may still place: `burst` orders at once, one more every `token_seconds`, all of
    them again in `full_in_seconds`.
    """

    burst: int
    token_seconds: float
    full_in_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class RateRefusal:
    """No token was left of one limit (`user`, `symbol`, `global`) of so many orders a second."""

    scope: str
    per_second: int
    retry_after_seconds: float


@dataclass(frozen=True, slots=True)
class Claim:
    """What a key stands for.

    `new`: this call claimed it. `known`: claimed before with the same body; `reply` is the stored
    answer if there is one. The others have claimed and taken nothing. `mismatch`: the key is
    claimed with another body. `no-account`. `rate-limited`: `refusal` says by which limit.
    `placing`: another order of the user and symbol is on its fast path.
    Time and price are those that every later step uses.
    """

    state: Literal["new", "known", "mismatch", "no-account", "rate-limited", "placing"]
    claimed_at_ms: int = 0
    last_price_cents: int = 0
    reply: Reply | None = None
    rate: OrderRate | None = None
    refusal: RateRefusal | None = None


async def claim_key(
    pool: "Pool[asyncpg.Record]",
    *,
    user_id: str,
    key: str,
    order_id: str,
    symbol: str,
    body_hash: bytes,
    last_price_cents: int,
) -> Claim:
    """Claim (user, key) for this body, with a token of each rate limit and the placing lock; or
    learn what became of it. Raises DatabaseUnavailable.
    """
    async with connection(pool) as database:
        row = await database.fetchrow(
            "SELECT * FROM claim_key($1, $2, $3, $4, $5, $6)",
            user_id,
            key,
            order_id,
            symbol,
            body_hash,
            last_price_cents,
        )
    if row is None:
        raise RuntimeError("claim_key always returns a row")
    state = row["state"]
    if state == "no-account":
        return Claim(state)
    rate = OrderRate(row["burst"], row["token_seconds"], row["full_in_seconds"])
    if state == "rate-limited":
        refusal = RateRefusal(row["refused_by"], row["per_second"], row["retry_after_seconds"])
        return Claim(state, rate=rate, refusal=refusal)
    if state not in ("new", "known"):
        return Claim(state, rate=rate)
    reply = Reply(row["reply_status"], row["reply_body"]) if row["reply_status"] else None
    claimed_at_ms = int(row["claimed_at"].timestamp() * 1000)
    return Claim(state, claimed_at_ms, row["last_price_cents"], reply, rate)


async def everybodys_rate(pool: "Pool[asyncpg.Record]") -> OrderRate:
    """The rate of a user who has no row of their own in `limits`."""
    async with connection(pool) as database:
        row = await database.fetchrow("SELECT burst, token_seconds FROM rate_of_user('')")
    if row is None:
        raise RuntimeError("rate_of_user always returns a row")
    return OrderRate(row["burst"], row["token_seconds"])


async def stored_reply(pool: "Pool[asyncpg.Record]", user_id: str, key: str) -> Reply | None:
    """The definitive answer kept for a key, if it has one by now."""
    async with connection(pool) as database:
        row = await database.fetchrow(
            "SELECT reply_status, reply_body FROM idempotency_keys WHERE user_id = $1 AND key = $2",
            user_id,
            key,
        )
    return Reply(row["reply_status"], row["reply_body"]) if row and row["reply_status"] else None
