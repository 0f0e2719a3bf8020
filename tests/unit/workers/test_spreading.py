"""Activities that failed together come back one by one."""

from dataclasses import replace
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from brokerage.storage.pool import DatabaseUnavailable
from workers.spreading import AGAIN, SpreadRetries


class Failing(ActivityInboundInterceptor):
    """An activity that raises `error`."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        raise self.error


async def failed_by(error: Exception, *, attempt: int = 1, is_local: bool = False) -> Exception:
    """What the server is told of an attempt that raised `error`."""
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, attempt=attempt, is_local=is_local)
    interceptor = SpreadRetries().intercept_activity(Failing(error))
    asked = ExecuteActivityInput(fn=print, args=(), executor=None, headers={})
    with pytest.raises(Exception) as told:  # noqa: PT011 - whatever it is, is looked at
        await environment.run(interceptor.execute_activity, asked)
    return told.value


async def test_an_unforeseen_error_is_repeated_after_a_pause_that_grows_and_differs() -> None:
    pauses = []
    for attempt in (1, 1, 1, 1, 20):
        error = await failed_by(DatabaseUnavailable("away"), attempt=attempt)
        assert isinstance(error, ApplicationError)
        assert (error.type, error.non_retryable) == ("DatabaseUnavailable", False)
        assert error.next_retry_delay is not None
        pauses.append(error.next_retry_delay.total_seconds())

    *first, last = pauses
    assert len(set(first)) > 1
    assert all(AGAIN.first_seconds / 2 <= pause <= AGAIN.first_seconds for pause in first)
    assert AGAIN.max_seconds / 2 <= last <= AGAIN.max_seconds


async def test_what_an_activity_says_itself_and_what_is_local_stays_as_it_is() -> None:
    own = ApplicationError("unknown", type="OutcomeUnknown")
    away = DatabaseUnavailable("away")

    assert await failed_by(own) is own
    assert await failed_by(away, is_local=True) is away
