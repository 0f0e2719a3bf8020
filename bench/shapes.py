"""Two workflows to compare ours with: Temporal's floor, and the shape most would write first."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from temporalio import workflow

from activities.exchange import ExchangeActivities
from activities.orders import OrderActivities
from brokerage.contracts.commands import (
    OrderState,
    Reply,
    SettleRequest,
    StartOrder,
    SubmitRequest,
)
from brokerage.contracts.events import ExecutionReport
from workflows.policies import UNTIL_DONE

BARE_TASK_QUEUE: Final = "bench-bare"
ATTEMPT_TIMEOUT: Final = timedelta(seconds=5)


@workflow.defn(name="BareOrder")
class BareOrder:
    """The history of an order with one fill, without anything done: what Temporal itself costs."""

    @workflow.init
    def __init__(self, start: StartOrder) -> None:
        self._filled = False

    @workflow.run
    async def run(self, start: StartOrder) -> str:
        await workflow.wait_condition(lambda: self._filled)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return "filled"

    @workflow.update
    async def placed(self) -> Reply | None:
        """Answer at once with what an order's reply weighs."""
        return Reply(201, "x" * 400)

    @workflow.update
    async def fill(self, reports: list[ExecutionReport]) -> list[str]:
        """Note the fill."""
        self._filled = True
        return [report.report_id for report in reports]


@workflow.defn(name="OrderWorkflow")
class UsualOrder:
    """Reserve, submit and settle as normal activities, in the place of our workflow.

    It has our workflow's name and updates, so that the API and the executions process do with it
    what they do with ours. It handles what the measurement brings: orders that are filled.
    """

    @workflow.init
    def __init__(self, start: StartOrder) -> None:
        self._state: OrderState | None = None
        self._answered = False
        self._waiting: dict[str, ExecutionReport] = {}
        self._settled: set[str] = set()

    @workflow.run
    async def run(self, start: StartOrder) -> str:
        state: OrderState = await _activity(OrderActivities.reserve, start)
        self._state = state
        if state.status == "pending":
            request = SubmitRequest(start.order_id, start.user_id, repeated=not state.created)
            submitted = await _activity(ExchangeActivities.submit, request)
            state = self._state = replace(submitted, reply=state.reply or submitted.reply)
        self._answered = True
        while not state.settled:
            await workflow.wait_condition(lambda: bool(self._waiting))
            settling = SettleRequest(start.order_id, start.user_id, list(self._waiting.values()))
            result = await _activity(OrderActivities.settle, settling)
            state = result.state
            for report_id in result.settled_ids:
                self._settled.add(report_id)
                self._waiting.pop(report_id, None)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return state.status

    @workflow.update
    async def placed(self) -> Reply | None:
        """The first reply."""
        await workflow.wait_condition(lambda: self._answered)
        return self._state.reply if self._state else None

    @workflow.update
    async def fill(self, reports: list[ExecutionReport]) -> list[str]:
        """Book what the exchange reports."""
        ids = [report.report_id for report in reports]
        for report in reports:
            if report.report_id not in self._settled:
                self._waiting[report.report_id] = report
        await workflow.wait_condition(lambda: self._settled.issuperset(ids))
        return ids


async def _activity(activity: Any, argument: Any) -> Any:
    return await workflow.execute_activity_method(
        activity,
        argument,
        start_to_close_timeout=ATTEMPT_TIMEOUT,
        retry_policy=UNTIL_DONE,
    )
