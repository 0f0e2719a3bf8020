"""Every timeout and retry of the workflows, by name."""

from datetime import timedelta
from typing import Final

from temporalio.common import RetryPolicy

WORKFLOW_TASK_TIMEOUT: Final = timedelta(seconds=4)
"""A dead worker's first task runs elsewhere after this; the fast path's 3 s are below 0.8 of it."""

FAST_TIMEOUT: Final = timedelta(seconds=1.5)
"""Schedule to close of one local activity of the fast path."""
LOCAL_RETRY_THRESHOLD: Final = timedelta(seconds=1)
"""A longer pause between local attempts would sleep inside the workflow task."""

TWICE: Final = RetryPolicy(initial_interval=timedelta(milliseconds=50), maximum_attempts=2)
ONCE: Final = RetryPolicy(maximum_attempts=1)

SLOW_ATTEMPT_TIMEOUT: Final = timedelta(seconds=10)
"""Start to close of one attempt of a normal activity: three calls of 2 s, and the writing.

An attempt whose worker was killed is missed for as long.
"""
SETTLED_TOGETHER_MAX: Final = 50
"""Reports booked in one transaction: it must end within the database's deadline."""

UNTIL_DONE: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=250),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=10),
)
"""No limit: what is unknown is asked for until it is known."""

LOOK_TIMEOUT: Final = timedelta(minutes=30)
"""Start to close of one step of a reconciliation: queries over whole tables, one by one."""
LOOK_HEARTBEAT: Final = timedelta(seconds=90)
"""More than the longest of those queries; a step whose worker died begins anew after this."""
