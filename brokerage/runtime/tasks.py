"""Background tasks with an owner: none outlives it, and none fails in silence."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import structlog

log = structlog.get_logger()


@contextmanager
def cancellation_kept() -> Iterator[None]:
    """Raise `CancelledError` if the block swallowed the task's cancellation.

    Before Python 3.12 `asyncio.wait_for` loses one that arrives together with what it waits for: a
    task that does so again and again, as a driver's requests make it, would then never end.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    yield
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError


class TaskSet:
    """Tasks that live as long as the `async with` around them.

    A task that fails is logged and told to `on_failure` (a process stops itself then: a part that
    died in the background would leave it half alive). Leaving the block cancels what still runs.
    """

    def __init__(self, on_failure: Callable[[BaseException], None] | None = None) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_failure = on_failure

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        """Run `work` in the background; `name` appears in the log if it fails."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def join(self, timeout_seconds: float) -> None:
        """Wait for what runs now to end by itself, no longer than this."""
        tasks = list(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_seconds)

    async def close(self) -> None:
        """Cancel what still runs and wait for it to end."""
        tasks = [task for task in self._tasks if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("task_failed", task=task.get_name(), exc_info=error)
            if self._on_failure is not None:
                self._on_failure(error)
