"""Telling an order's workflow what the exchange reported of it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog
from prometheus_client import Counter, Histogram
from temporalio.client import (
    Client,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from brokerage.contracts.events import ExecutionReport
from brokerage.contracts.ids import fill_update_id, workflow_id_for
from brokerage.domain.orders import Order
from brokerage.storage.pool import DatabaseUnavailable
from brokerage.storage.reads import Route
from workflows.adoption import update_adopted

log = structlog.get_logger()

UPDATE_REPORTS: Final = Histogram(
    "sherwood_executions_update_reports",
    "Reports told to a workflow in one update",
    buckets=(1, 2, 5, 10, 20, 50),
)
REOPENED: Final = Counter(
    "sherwood_executions_reopened_total", "Orders whose workflow had ended when a report came"
)
TOGETHER_MAX: Final = 50
"""Reports of one order in one update."""

ATTEMPT_SECONDS: Final = 10.0
"""The whole of one attempt: the SDK's own timeout is per call, and it repeats calls by itself."""
FILL: Final = "fill"
ENDED_TYPES: Final = frozenset({"AcceptedUpdateCompletedWorkflow", "WorkflowUpdateAborted"})


class NotTold(Exception):
    """The workflow did not answer; it may have heard. `asked_anew`: the same question, asked under
    the same id, would get the same answer again.
    """

    def __init__(self, cause: str, *, asked_anew: bool = False) -> None:
        self.cause = cause
        self.asked_anew = asked_anew
        super().__init__(cause)


class OrderWorkflows:
    """Sends `fill` to the workflow of an order, and starts that again where it has ended.

    `order_of` reads the order's row, by user and order, for such a start.
    """

    def __init__(
        self,
        client: Client,
        order_of: Callable[[str, str], Awaitable[Order | None]],
        attempt_seconds: float = ATTEMPT_SECONDS,
    ) -> None:
        self._client = client
        self._order_of = order_of
        self._attempt_seconds = attempt_seconds

    async def fill(
        self, route: Route, reports: Sequence[ExecutionReport], asked: int = 0
    ) -> set[str]:
        """Return the ids of those reports that are settled now, or were before.

        Equal reports are one update, however often this is called; `asked` other than 0 makes it
        another one. Raises `NotTold` for whatever is between here and the workflow.
        """
        report_ids = [report.report_id for report in reports]
        update_id = fill_update_id(report_ids if asked == 0 else [*report_ids, f"again-{asked}"])
        UPDATE_REPORTS.observe(len(reports))
        try:
            async with asyncio.timeout(self._attempt_seconds):
                settled = await self._tell(route, list(reports), update_id)
                if settled is None:
                    settled = await self._reopen(route, list(reports), update_id)
        except TimeoutError as error:
            raise NotTold("timeout") from error
        except WorkflowUpdateRPCTimeoutOrCancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # The SDK makes this error of a cancellation; swallowed, the process never ends.
                raise asyncio.CancelledError from error
            raise NotTold("timeout") from error
        except WorkflowUpdateFailedError as error:
            log.warning(
                "fill_update_failed", order_id=route.order_id, cause=repr(error.cause), asked=asked
            )
            raise NotTold("update-failed", asked_anew=True) from error
        except RPCError as error:
            raise NotTold(error.status.name.lower()) from error
        return set(settled) & set(report_ids)

    async def _tell(
        self, route: Route, reports: list[ExecutionReport], update_id: str
    ) -> list[str] | None:
        """None: there is no workflow of this order that could hear it."""
        handle = self._client.get_workflow_handle(workflow_id_for(route.order_id))
        try:
            settled: list[str] = await handle.execute_update(
                FILL, reports, id=update_id, result_type=list[str]
            )
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise
        except WorkflowUpdateFailedError as error:
            if isinstance(error.cause, ApplicationError) and error.cause.type in ENDED_TYPES:
                return None
            raise
        return settled

    async def _reopen(
        self, route: Route, reports: list[ExecutionReport], update_id: str
    ) -> list[str]:
        order = await self._row(route)
        log.info("order_reopened", order_id=route.order_id, reports=len(reports))
        REOPENED.inc()
        settled: list[str] = await update_adopted(
            self._client,
            order,
            FILL,
            reports,
            # An update that the ended run accepted and never finished is remembered as failed.
            update_id=f"{update_id}-reopen",
            result_type=list[str],
        )
        return settled

    async def _row(self, route: Route) -> Order:
        try:
            order = await self._order_of(route.user_id, route.order_id)
        except DatabaseUnavailable as error:
            raise NotTold("database-unavailable") from error
        if order is None:
            raise NotTold("no-row")
        return order
