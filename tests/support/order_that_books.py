"""An order's workflow as the executions process sees it, and what was booked through it."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from temporalio import activity, workflow

from brokerage.contracts.commands import StartOrder
from brokerage.contracts.events import ExecutionReport

LONG: Final = timedelta(seconds=30)


@dataclass
class Books:
    """What the workflows booked, by order, and which of them were adopted.

    Like the real ones they take the same once: a worker that was held up is told again.
    """

    booked: list[str] = field(default_factory=list)
    adopted: list[str] = field(default_factory=list)

    @activity.defn
    async def book(self, report_ids: list[str]) -> None:
        self.booked.extend(one for one in report_ids if one not in self.booked)

    @activity.defn
    async def adopt(self, order_id: str) -> None:
        if order_id not in self.adopted:
            self.adopted.append(order_id)


@workflow.defn(name="OrderWorkflow")
class OrderThatBooks:
    """The outside of the order's workflow: it books fills, and ends with the report of an end."""

    @workflow.init
    def __init__(self, start: StartOrder) -> None:
        self.over = False
        self.unfinished = False

    @workflow.run
    async def run(self, start: StartOrder) -> None:
        if start.adopt:
            await workflow.execute_local_activity(
                "adopt", start.order_id, schedule_to_close_timeout=LONG
            )
        await workflow.wait_condition(lambda: self.over)
        await workflow.wait_condition(
            workflow.all_handlers_finished, timeout=0.2 if self.unfinished else LONG
        )

    @workflow.update(unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON)
    async def fill(self, reports: list[ExecutionReport]) -> list[str]:
        ids = [report.report_id for report in reports]
        if any(report.kind == "end" for report in reports):
            self.over = True
        if any(report.reason == "never" for report in reports):
            self.unfinished = True
            await workflow.wait_condition(lambda: False)
        await workflow.execute_local_activity("book", ids, schedule_to_close_timeout=LONG)
        return ids
