"""Every line that an activity logs names the order and the user it is for."""

from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from brokerage.runtime.logs import bind


class BoundLogs(Interceptor):
    """Binds what the activity's argument says it is about; an activity has a task of its own."""

    def __init__(self) -> None:
        # Its ids are bound instead of standing in the text.
        activity.logger.activity_info_on_message = False

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Binding(next)


class _Binding(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        about = input.args[0] if input.args else None
        if (order_id := getattr(about, "order_id", None)) is not None:
            name = activity.info().activity_type
            bind(order_id=order_id, user_id=getattr(about, "user_id", None), activity=name)
        return await self.next.execute_activity(input)
