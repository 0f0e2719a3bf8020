"""As much of Temporal as an order's workflow uses, in memory and in virtual time.

`OrderWorkflow` runs as it is: this module stands where it says `workflow.` at run time. Kept from
the real thing: conditions are looked at when nothing else can go on; what local activities found is
lost with the worker that ran the first workflow task, which then begins anew elsewhere, while a
frozen worker goes on with the old one when it thaws; a normal activity whose worker says nothing is
given to another one, and both may be at it; retries by the policies. Not kept: histories, replay
(tests/replay has them), signals, and the server's own faults.
"""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final, NoReturn, TypeVar

from temporalio.common import (
    RetryPolicy,
    SearchAttributePair,
    SearchAttributeUpdate,
    TypedSearchAttributes,
)

from brokerage.contracts.commands import CancelOrder, StartOrder, adopt_order
from tests.unit.outcomes.chance import Chance
from tests.unit.outcomes.fleet import Fleet
from tests.unit.outcomes.virtual_time import VirtualLoop
from tests.unit.outcomes.workers import DETECTED_SECONDS, Worker
from workflows.labels import ORDER_STATUS
from workflows.order import OrderWorkflow

T = TypeVar("T")

RUN: Final[contextvars.ContextVar["Run"]] = contextvars.ContextVar("run")
logger: Final = logging.getLogger("workflow")


class Evicted(asyncio.CancelledError):
    """This run's task was given to another worker; what it still does counts for nothing."""


class ContinuedAsNew(Exception):
    """The run ends, and another one begins with `start`."""

    def __init__(self, start: StartOrder) -> None:
        self.start = start


class Run:
    """One life of the workflow's code. `durable` once its first workflow task is complete."""

    def __init__(self, temporal: "Temporal", start: StartOrder, worker: Worker) -> None:
        self.temporal = temporal
        self.start = start
        self.worker = worker
        self.workflow = OrderWorkflow(start)
        self.durable = asyncio.Event()
        self.evicted = False
        self.local_activities = 0
        self.handlers = 0
        self.label = temporal.inherited_label

    def must_count(self) -> None:
        """Raise `Evicted` where the server would refuse what this run did."""
        if self.evicted:
            raise Evicted

    def evict(self) -> None:
        """Another run has taken over."""
        self.evicted = True


class Temporal:
    """The server, and the machinery of the workers in one; one order's workflow."""

    def __init__(
        self, chance: Chance, activities_of: Callable[[Worker], dict[str, object]]
    ) -> None:
        self.chance = chance
        self.fleet = Fleet(chance, activities_of)
        self.current: Run | None = None
        self.inherited_label: str | None = None
        self.result: str | None = None
        self.failed = False
        self._conditions: list[tuple[Run, Callable[[], bool], asyncio.Future[None]]] = []
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.on_idle(self._look_at_conditions)

    # -- for the story that is played ----------------------------------------------------------

    def start(self, start: StartOrder) -> None:
        """Start the order's workflow."""
        self.result = self.inherited_label = None
        self.current = Run(self, start, self.fleet.any_worker())
        self.fleet.spawn(self._drive(self.current))

    async def update(self, name: str, argument: object) -> None:
        """Run an update to its end, reopening the workflow if it has closed.

        Raises `ApplicationError` where its validator refuses it.
        """
        while True:
            run = self.current
            assert run is not None, "not started"
            if self.failed:
                return
            if self.result is not None:
                self.start(adopt_order(run.start.order_id, run.start.user_id))
                continue
            if name == "cancel" and isinstance(argument, CancelOrder):
                run.workflow._cancel_is_new(argument)
            try:
                await self.fleet.spawn(self._handle(run, name, argument))
            except asyncio.CancelledError:
                if not run.evicted:
                    raise
            else:
                return

    async def _handle(self, run: Run, name: str, argument: object) -> None:
        RUN.set(run)
        run.handlers += 1
        try:
            await getattr(run.workflow, name)(argument)
        finally:
            run.handlers -= 1

    async def _drive(self, run: Run) -> None:
        while True:
            self.current = run
            work = self.fleet.spawn(self._play(run))
            if await self._was_lost(run, work):
                self.chance.note(f"{run.worker.name} lost the first task")
                self.chance.fired["first task begun anew"] += 1
                run.evict()
                run = Run(self, run.start, self.fleet.any_worker())
                continue
            try:
                self.result = await work
            except ContinuedAsNew as next_run:
                run.evict()
                self.chance.fired["continued as new"] += 1
                self.inherited_label = run.label
                run = Run(self, next_run.start, self.fleet.any_worker())
                continue
            except Exception as error:  # noqa: BLE001 - told to whoever reads the seed
                self.chance.promise_broken(f"the workflow failed by {error!r}")
                self.failed = True
                return
            if run.label is not None:
                self.chance.promise_broken(f"ended with the label {run.label}")
            run.evict()
            self.chance.note(f"workflow ended: {self.result}")
            return

    async def _play(self, run: Run) -> str:
        RUN.set(run)
        return await run.workflow.run(run.start)

    async def _was_lost(self, run: Run, work: "asyncio.Task[str]") -> bool:
        """True once the first task needs another worker; false when it is complete."""
        complete = self.fleet.spawn(run.durable.wait())
        while not (work.done() or complete.done()):
            await asyncio.wait(
                {work, complete}, timeout=DETECTED_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if run.worker.is_lost and not complete.done():
                return True
        complete.cancel()
        return work.done() and work.cancelled()

    def _look_at_conditions(self) -> bool:
        met = False
        waiting, self._conditions = self._conditions, []
        for run, condition, future in waiting:
            RUN.set(run)
            if run.evicted:
                future.cancel()
            elif future.done():
                continue
            elif condition():
                future.set_result(None)
            else:
                self._conditions.append((run, condition, future))
                continue
            met = True
        return met

    # -- what `workflow.` offers an order ------------------------------------------------------

    logger = logger

    async def wait_condition(self, condition: Callable[[], bool]) -> None:
        """Until it is true."""
        run = RUN.get()
        run.must_count()
        if condition():
            return
        if not run.local_activities:
            run.durable.set()
        met: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._conditions.append((run, condition, met))
        await met

    def all_handlers_finished(self) -> bool:
        """Whether no update is at work."""
        return not RUN.get().handlers

    def info(self) -> "Temporal":
        """What asks `is_continue_as_new_suggested`, and for what the run began with."""
        return self

    @property
    def typed_search_attributes(self) -> TypedSearchAttributes:
        """The label that a run takes over from the one it continues."""
        if self.inherited_label is None:
            return TypedSearchAttributes.empty
        return TypedSearchAttributes([SearchAttributePair(ORDER_STATUS, self.inherited_label)])

    def is_continue_as_new_suggested(self) -> bool:
        """Sometimes."""
        return self.chance.random.random() < 0.05

    def continue_as_new(self, start: StartOrder) -> NoReturn:
        """Begin another run."""
        raise ContinuedAsNew(start)

    def patched(self, change: str) -> bool:
        """Every run is a new one."""
        return True

    def set_current_details(self, text: str) -> None:
        """Nobody looks."""

    def upsert_search_attributes(self, changes: Sequence[SearchAttributeUpdate[str]]) -> None:
        """Label the run; what an evicted one says counts for nothing."""
        run = RUN.get()
        run.must_count()
        for change in changes:
            assert change.key == ORDER_STATUS
            run.label = change.value

    async def execute_local_activity_method(
        self,
        method: Callable[..., Awaitable[T]],
        argument: object,
        *,
        schedule_to_close_timeout: timedelta,
        retry_policy: RetryPolicy,
        local_retry_threshold: timedelta,
        summary: str,
    ) -> T:
        """In the worker of the workflow task, or of the next one if that worker is lost."""
        run = RUN.get()
        run.local_activities += 1
        try:
            while True:
                work = self.fleet.spawn(
                    self.fleet.locally(
                        run.worker, method, argument, schedule_to_close_timeout, retry_policy
                    )
                )
                if not run.durable.is_set():
                    # The first task: `_drive` looks after it, and this goes on as long as it can.
                    return await work
                while not work.done() and not run.worker.dead:
                    await asyncio.wait({work}, timeout=DETECTED_SECONDS)
                    if run.worker.is_frozen:
                        break
                if work.done() and not work.cancelled():
                    return await work
                await asyncio.sleep(DETECTED_SECONDS if run.worker.dead else 0)
                self.chance.fired["later task begun anew"] += 1
                run.worker = self.fleet.any_worker()
        finally:
            run.local_activities -= 1

    async def execute_activity_method(
        self,
        method: Callable[..., Awaitable[T]],
        argument: object,
        *,
        start_to_close_timeout: timedelta,
        retry_policy: RetryPolicy,
        summary: str,
    ) -> T:
        """In any worker, again and again; one that says nothing is given up, and may go on."""
        run = RUN.get()
        run.must_count()
        if not run.local_activities:
            run.durable.set()
        return await self.fleet.patiently(
            method, argument, start_to_close_timeout, retry_policy, run.must_count
        )
