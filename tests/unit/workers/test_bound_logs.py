"""What an activity logs names what it is about."""

from typing import Any

import pytest
import structlog
from temporalio import activity
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from brokerage.contracts.commands import OrderKey
from workers.bound_logs import BoundLogs


class Naming(ActivityInboundInterceptor):
    """An activity whose result is what its lines of the log would name."""

    def __init__(self) -> None:
        pass

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        return structlog.contextvars.get_contextvars()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((OrderKey("o-1", "alice"),), {"order_id": "o-1", "user_id": "alice"}),
        (("2026-11-26",), {}),
        ((), {}),
    ],
)
async def test_lines_of_an_activity_name_its_order_and_user(
    arguments: tuple[object, ...], named: dict[str, str]
) -> None:
    structlog.contextvars.clear_contextvars()
    interceptor = BoundLogs().intercept_activity(Naming())
    asked = ExecuteActivityInput(fn=print, args=arguments, executor=None, headers={})

    bound = await ActivityEnvironment().run(interceptor.execute_activity, asked)

    assert {name: bound[name] for name in bound if name != "activity"} == named
    assert ("activity" in bound) == bool(named)


def test_its_text_does_not_repeat_what_is_bound() -> None:
    BoundLogs()

    assert not activity.logger.activity_info_on_message
