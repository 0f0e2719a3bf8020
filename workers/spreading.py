"""Temporal doubles the pause between two attempts of an activity; chance has to come from here."""

from datetime import timedelta
from typing import Any, Final

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from brokerage.runtime.backoff import Backoff

AGAIN: Final = Backoff(0.25, 10.0)
"""After an error that an activity did not foresee: Postgres was away."""


class SpreadRetries(Interceptor):
    """Has those who failed together come back one by one."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Spreading(next)


class _Spreading(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            return await self.next.execute_activity(input)
        except ApplicationError:
            raise
        except Exception as error:
            info = activity.info()
            if info.is_local:
                # Within a workflow task there is no time to wait.
                raise
            pause_seconds = AGAIN.pause_seconds(info.attempt)
            raise ApplicationError(
                str(error),
                type=type(error).__name__,
                next_retry_delay=timedelta(seconds=pause_seconds),
            ) from error
