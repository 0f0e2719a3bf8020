"""The workers together, and how an activity is run: attempts, timeouts, pauses, by the policies."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, TypeVar

from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, FailureError, TimeoutError, TimeoutType
from temporalio.testing import ActivityEnvironment

from brokerage.storage.pool import DatabaseUnavailable
from tests.unit.outcomes.chance import Chance
from tests.unit.outcomes.workers import Worker

WORKERS: Final = 3
INFO: Final = ActivityEnvironment.default_info()

T = TypeVar("T")


class Fleet:
    """Three workers; one that is killed is replaced. `lives` are all that there ever were."""

    def __init__(
        self, chance: Chance, activities_of: Callable[[Worker], dict[str, object]]
    ) -> None:
        self.lives: list[Worker] = []
        self._chance = chance
        self._activities_of = activities_of
        self._workers: list[Worker] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    def any_worker(self) -> Worker:
        """One of the pollers; a frozen one may have asked for work before it froze."""
        self._workers = [worker for worker in self._workers if not worker.dead]
        while len(self._workers) < WORKERS:
            self._workers.append(Worker(self._chance, f"worker-{len(self.lives)}"))
            self.lives.append(self._workers[-1])
        return self._chance.random.choice(self._workers)

    def spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run it in the background; what becomes of it is for whoever waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def locally(
        self,
        worker: Worker,
        method: Callable[..., Awaitable[T]],
        argument: object,
        timeout: timedelta,
        retry: RetryPolicy,
    ) -> T:
        """As a local activity of this worker; raises as the SDK does: bare, or as a timeout."""
        loop, attempt = asyncio.get_running_loop(), 1
        deadline = loop.time() + timeout.total_seconds()
        while True:
            work = self.spawn(self._attempt(worker, method, argument, attempt))
            await asyncio.wait({work}, timeout=max(0.0, deadline - loop.time()))
            await worker.thawed()
            if not work.done():
                work.cancel()
                raise TimeoutError(
                    "activity timeout",
                    type=TimeoutType.SCHEDULE_TO_CLOSE,
                    last_heartbeat_details=[],
                )
            try:
                return await work
            except FailureError as error:
                final = isinstance(error, ApplicationError) and error.non_retryable
                if final or attempt == retry.maximum_attempts:
                    raise
            await asyncio.sleep(retry.initial_interval.total_seconds())
            attempt += 1

    async def patiently(
        self,
        method: Callable[..., Awaitable[T]],
        argument: object,
        timeout: timedelta,
        retry: RetryPolicy,
        must_count: Callable[[], None],
    ) -> T:
        """As a normal activity, until it succeeds. An attempt that says nothing in time is given up
        and may go on beside its successor.
        """
        assert retry.maximum_interval is not None
        attempt, pause = 1, retry.initial_interval.total_seconds()
        while True:
            worker = self.any_worker()
            work = self.spawn(self._attempt(worker, method, argument, attempt))
            done, _ = await asyncio.wait({work}, timeout=timeout.total_seconds())
            must_count()
            next_pause = pause
            if not done and self._chance.random.random() < 0.5:
                work.cancel()
            if done and not work.cancelled():
                try:
                    return await work
                except ApplicationError as error:
                    if error.non_retryable:
                        self._chance.promise_broken(f"{method.__qualname__} gave up: {error}")
                        raise
                    if error.next_retry_delay is not None:
                        next_pause = error.next_retry_delay.total_seconds()
            elif done:
                # Its worker was killed: that shows only when it says nothing in time.
                await asyncio.sleep(timeout.total_seconds())
            await asyncio.sleep(next_pause)
            attempt += 1
            pause = min(pause * retry.backoff_coefficient, retry.maximum_interval.total_seconds())

    async def _attempt(
        self, worker: Worker, method: Callable[..., Awaitable[T]], argument: object, attempt: int
    ) -> T:
        owner, name = method.__qualname__.split(".")
        environment = ActivityEnvironment()
        environment.info = replace(INFO, attempt=attempt)
        self._chance.note(f"{worker.name} {name} #{attempt}")
        bound = getattr(self._activities_of(worker)[owner], name)
        try:
            await worker.gate("taking up an activity")
            found: T = await environment.run(bound, argument)
        except FailureError:
            raise
        except DatabaseUnavailable as error:
            raise ApplicationError(str(error), type="DatabaseUnavailable") from error
        except Exception as error:
            self._chance.promise_broken(f"{name} failed by {error!r}")
            raise ApplicationError(str(error), type=type(error).__name__) from error
        return found

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()
