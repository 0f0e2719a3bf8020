"""What operators see and set: limits. Every change is written with who made it, when and why."""

from dataclasses import dataclass

import asyncpg

from brokerage.storage.pool import Pool, connection


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: everybody's where `subject` is empty, else of that user or symbol alone."""

    name: str
    subject: str
    value: int


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
