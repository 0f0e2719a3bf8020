"""`python -m bench.claims`: how many keys a second Postgres claims, by how its limits are kept."""

import asyncio
import itertools
import time
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any, Final
from uuid import uuid4

import typer
from rich.console import Console

from bench.figures import percentile
from bench.machine import describe
from brokerage.runtime.settings import Settings
from brokerage.storage.pool import Pool, open_pool
from devstack.stack import DevStack

USERS: Final = 20_000
"""More than claim within the life of a placing lock, so that none is refused for its sake."""
UNLIMITED: Final = 1_000_000
SLOTS: Final = {"one row a limit": 1, "16 rows a limit": 16}
CLAIM: Final = "SELECT state FROM claim_key($1, $2, $2, $3, '', 20000)"
KEY_ALONE: Final = (
    "INSERT INTO idempotency_keys (user_id, key, order_id, body_hash, claimed_at, last_price_cents)"
    " VALUES ($1, $2, $2, $3::text::bytea, now(), 20000) RETURNING 'new'"
)

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
console = Console(highlight=False)


@dataclass(frozen=True, slots=True)
class Case:
    """A statement, run in turns for every user, of so many symbols."""

    name: str
    statement: str
    symbols: int
    slots: int = 1


@app.command()
def claims(
    seconds: Annotated[float, typer.Option(min=0.1, help="Of each case.")] = 5.0,
    connections: Annotated[int, typer.Option(min=1, help="That claim all the time.")] = 16,
) -> None:
    """Measure on a Postgres of its own, and print a line a case."""
    asyncio.run(_measure(seconds, connections))
    console.print(f"machine: {describe()}", soft_wrap=True)


async def _measure(seconds: float, connections: int) -> None:
    cases = [Case("the key alone", KEY_ALONE, symbols=1)]
    for symbols, (name, slots) in itertools.product((1, 100), SLOTS.items()):
        cases.append(Case(f"{name}, {symbols} symbols", CLAIM, symbols, slots))
    async with DevStack.temporary(only=["postgres", "migrations"]) as stack:
        await stack.wait_ready()
        settings = Settings(
            database_url=stack.env["SHERWOOD_DATABASE_URL"], database_pool_size=connections
        )
        async with open_pool(settings) as pool:
            await _prepare(pool)
            for case in cases:
                await _run(pool, case, 0.5, connections)  # connections, plans, slots are made
                console.print(await _run(pool, case, seconds, connections))


async def _prepare(pool: "Pool[Any]") -> None:
    await pool.execute(
        "INSERT INTO accounts (user_id) SELECT 'user-' || n FROM generate_series(1, $1) n", USERS
    )
    await pool.execute("UPDATE limits SET value = $1 WHERE name LIKE '%-orders-%'", UNLIMITED)


async def _run(pool: "Pool[Any]", case: Case, seconds: float, connections: int) -> str:
    await pool.execute(
        "CREATE OR REPLACE FUNCTION rate_slots(p_per_second bigint) RETURNS integer "
        f"LANGUAGE sql IMMUTABLE AS 'SELECT {case.slots}'"
    )
    await pool.execute("TRUNCATE order_rates, placing_locks")
    latencies_ms: list[float] = []
    states: Counter[str] = Counter()
    numbers = itertools.count()
    began = time.perf_counter()

    async def client() -> None:
        async with pool.acquire() as connection:
            while (asked := time.perf_counter()) - began < seconds:
                number = next(numbers)
                symbol = f"S{number % case.symbols}"
                state = await connection.fetchval(
                    case.statement, f"user-{number % USERS + 1}", uuid4(), symbol
                )
                states[state] += 1
                latencies_ms.append((time.perf_counter() - asked) * 1000)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(connections):
            tasks.create_task(client())
    rate = states["new"] / (time.perf_counter() - began)
    latencies_ms.sort()
    others = {state: count for state, count in states.items() if state != "new"}
    return (
        f"{case.name:<32} {rate:6,.0f}/s  p50 {percentile(latencies_ms, 50):5.1f} ms  "
        f"p99 {percentile(latencies_ms, 99):5.1f} ms  {others or ''}"
    )


if __name__ == "__main__":
    app()
