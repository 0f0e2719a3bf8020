"""The acts of the kill switch among those of operators: copies of what its bucket keeps."""

from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg

from brokerage.contracts.kill_switch import SwitchAct
from brokerage.storage.pool import Pool, connection


async def record(pool: "Pool[asyncpg.Record]", acts: Sequence[SwitchAct]) -> None:
    """Keep those that are not kept yet; safe to repeat, also by several nodes at once."""
    async with connection(pool) as database:
        known = await database.fetch(
            "SELECT act_key FROM operator_acts WHERE act_key = ANY($1::text[])",
            [act.act_id for act in acts],
        )
        known_keys = {row["act_key"] for row in known}
        new = [act for act in acts if act.act_id not in known_keys]
        if not new:
            # The driver would leave the connection in a transaction that nobody ends.
            return
        await database.executemany(
            "INSERT INTO operator_acts "
            "(act_key, at, operator, address, act, subject, before, after, reason) "
            "VALUES ($1, $2, $3, $4, $5, $6, to_jsonb($7::int), to_jsonb($8::int), $9) "
            "ON CONFLICT (act_key) DO NOTHING",
            [
                (
                    act.act_id,
                    datetime.fromtimestamp(act.at_ms / 1000, UTC),
                    act.operator,
                    act.address,
                    f"kill-switch {act.scope}",
                    act.subject,
                    act.before,
                    act.level,
                    act.reason,
                )
                for act in new
            ],
        )


async def has_been_set(pool: "Pool[asyncpg.Record]") -> bool:
    """True if the switch is known to have been there once."""
    async with connection(pool) as database:
        found: bool = await database.fetchval(
            "SELECT EXISTS (SELECT 1 FROM operator_acts WHERE act_key IS NOT NULL)"
        )
    return found
