"""Fetches both sides of the comparison: our tables, and the exchange's own lists."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import httpx
import msgspec

from bench.checks import ExchangeRecord
from brokerage.runtime.settings import Settings
from brokerage.storage.audit import Audit, open_auditor
from exchange.protocol import PAGE_MAX, Execution, ExecutionPage, OrderPage, OrderReport, Status

TIMEOUT_SECONDS: Final = 30.0

Answer = TypeVar("Answer")


class Records:
    """Reads ours and theirs, as of now; the exchange is asked as the member we are."""

    def __init__(self, read_ours: Callable[[], Awaitable[Audit]], http: httpx.AsyncClient) -> None:
        self.ours = read_ours
        self._http = http

    async def theirs(self) -> ExchangeRecord:
        """Every order and execution of ours, page by page.

        The executions are read first: whatever comes between is then seen by its order at least.
        """
        executions: list[Execution] = []
        after_seq: int | None = 0
        while after_seq is not None:
            page = await self._get(f"/v1/executions?after={after_seq}", ExecutionPage)
            executions += page.items
            after_seq = page.next_after
        orders: list[OrderReport] = []
        after: str | None = "0"
        while after is not None:
            found = await self._get(f"/v1/orders?after={after}", OrderPage)
            orders += found.items
            after = found.next_after
        return ExchangeRecord(orders, executions)

    async def status(self) -> Status:
        """The exchange's own counts."""
        return await self._get("/v1/status?", Status)

    async def _get(self, path: str, kind: type[Answer]) -> Answer:
        answer = await self._http.get(f"{path}&limit={PAGE_MAX}")
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=kind)


@asynccontextmanager
async def open_records(env: Mapping[str, str]) -> AsyncIterator[Records]:
    """Connect to Postgres and to the exchange that `env` names."""
    member = env.get("SHERWOOD_EXCHANGE_MEMBER", Settings().exchange_member)
    async with (
        open_auditor(env["SHERWOOD_DATABASE_URL"]) as read_ours,
        httpx.AsyncClient(
            base_url=env["SHERWOOD_EXCHANGE_URL"],
            headers={"X-Member": member},
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        ) as http,
    ):
        yield Records(read_ours, http)
