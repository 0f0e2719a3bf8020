"""An `OrderWorkflow` with one step more: what a careless change would put into production."""

from datetime import timedelta

from temporalio import workflow

from brokerage.contracts.commands import StartOrder
from workflows.order import OrderWorkflow


@workflow.defn(name="OrderWorkflow")
class ChangedOrderWorkflow(OrderWorkflow):
    """Waits before it begins, which no recorded history does."""

    @workflow.init
    def __init__(self, start: StartOrder) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: StartOrder) -> str:
        await workflow.sleep(timedelta(seconds=1))
        return await super().run(start)
