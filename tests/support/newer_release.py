"""`python -m tests.support.newer_release`: the order worker of the next release.

Its workflow does one thing more than today's, for orders that begin with it: what the page about
changing workflows asks of a change.
"""

from datetime import timedelta

from temporalio import workflow

import workers.orders
from brokerage.contracts.commands import StartOrder
from brokerage.runtime.process import run
from brokerage.runtime.settings import Settings
from workflows.order import OrderWorkflow


@workflow.defn(name="OrderWorkflow")
class NewerOrderWorkflow(OrderWorkflow):
    """Waits a moment before it begins."""

    @workflow.init
    def __init__(self, start: StartOrder) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: StartOrder) -> str:
        if workflow.patched("waits-a-moment"):
            await workflow.sleep(timedelta(milliseconds=1))
        return await super().run(start)


if __name__ == "__main__":
    vars(workers.orders)["OrderWorkflow"] = NewerOrderWorkflow
    run("orders", Settings(), workers.orders.serve)
