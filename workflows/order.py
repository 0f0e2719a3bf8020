"""One order, from its request to the last share the exchange counts."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Literal, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, FailureError

from activities.exchange import ExchangeActivities
from activities.orders import OrderActivities
from brokerage.contracts.commands import (
    CancelOrder,
    CancelRequested,
    OrderKey,
    OrderState,
    Reply,
    SettleRequest,
    StartOrder,
    SubmitRequest,
    adopt_order,
)
from brokerage.contracts.events import ExecutionReport
from workflows import policies
from workflows.details import BEFORE_THE_ROW, STEPS, details, documented_update, status_label
from workflows.labels import ORDER_STATUS

PENDING = "pending"
PENDING_CANCEL = "pending_cancel"
Question = Literal["submission", "cancel"]
OPEN = frozenset({PENDING, "submitted", "partially_filled", PENDING_CANCEL})


@workflow.defn(name="OrderWorkflow")
class OrderWorkflow:
    """The only writer of one order. Handlers note what is asked and wait; `run` acts."""

    @workflow.init
    def __init__(self, start: StartOrder) -> None:
        self._start = start
        self._key = OrderKey(start.order_id, start.user_id)
        self._state: OrderState | None = None
        self._answered = False
        self._waiting: dict[str, ExecutionReport] = {}
        self._settled: set[str] = set()
        self._cancel: CancelOrder | None = None
        self._asking: dict[Question, asyncio.Task[None]] = {}
        # A run that continues another one has what that one had.
        self._status_label = workflow.info().typed_search_attributes.get(ORDER_STATUS)

    @workflow.run
    async def run(self, start: StartOrder) -> str:
        await self._enter()
        while True:
            # A wish that is not on record yet comes first: what is asked must not send the order.
            if self._cancel is None:
                self._ask_the_exchange()
            await workflow.wait_condition(lambda: self._has_work() or self._is_over())
            if self._cancel is not None:
                await self._record_cancel(self._cancel)
            elif self._waiting:
                await self._settle()
            elif self._is_over():
                # A handler that is still at work may bring more of it.
                await workflow.wait_condition(
                    lambda: workflow.all_handlers_finished() or self._has_work()
                )
                if not self._has_work():
                    return self._known.status
            if workflow.info().is_continue_as_new_suggested() and not self._asking:
                await workflow.wait_condition(
                    lambda: workflow.all_handlers_finished() or self._has_work()
                )
                if not self._has_work():
                    workflow.continue_as_new(adopt_order(self._key.order_id, self._key.user_id))

    @documented_update
    async def placed(self) -> Reply | None:
        """The first definitive reply, or None when the fast path ended without one."""
        await workflow.wait_condition(lambda: self._answered)
        return self._state.reply if self._state else None

    @documented_update
    async def fill(self, reports: list[ExecutionReport]) -> list[str]:
        """Book what the exchange reports; returns the ids that are booked."""
        ids = [report.report_id for report in reports]
        for report in reports:
            if report.report_id not in self._settled:
                self._waiting[report.report_id] = report
        await workflow.wait_condition(lambda: self._settled.issuperset(ids))
        return ids

    @documented_update
    async def cancel(self, request: CancelOrder) -> None:
        """Note that the customer wants the rest gone; returns once that is on record."""
        self._cancel = request
        await workflow.wait_condition(lambda: self._cancel is None)

    @cancel.validator
    def _cancel_is_new(self, request: CancelOrder) -> None:
        if self._cancel is not None or (self._state and self._state.status == PENDING_CANCEL):
            raise ApplicationError("a cancel is under way", type="cancel-pending")
        if self._state is not None and self._state.status not in OPEN:
            raise ApplicationError("the order has ended", type="order-ended")

    @property
    def _known(self) -> OrderState:
        if self._state is None:
            raise ApplicationError("the order has no row yet")
        return self._state

    def _has_work(self) -> bool:
        return (
            self._cancel is not None or bool(self._waiting) or self._exchange_to_ask() is not None
        )

    def _is_over(self) -> bool:
        return self._known.settled and not self._asking

    async def _enter(self) -> None:
        """Reach a row, and on the fast path the exchange's answer to it."""
        workflow.set_current_details(BEFORE_THE_ROW)
        if self._start.adopt:
            self._adopt(await _surely(OrderActivities.adopt, self._key))
        else:
            try:
                self._adopt(await _locally(OrderActivities.reserve, self._start, policies.TWICE))
            except FailureError:
                # The caller is not kept waiting for what may take a while; the row will answer it.
                self._answered = True
                self._adopt(await _patiently(OrderActivities.reserve, self._start))
            else:
                if self._known.status == PENDING and self._cancel is None:
                    await self._submit()
        self._answered = True
        self._tell_operators()

    async def _submit(self) -> None:
        """Send the order once; without a definite answer the slow path takes over."""
        request = SubmitRequest(
            self._key.order_id, self._key.user_id, repeated=not self._known.created
        )
        try:
            self._adopt(await _locally(ExchangeActivities.submit, request, policies.ONCE))
        except FailureError:
            workflow.logger.info("outcome unknown, resolving")

    def _adopt(self, state: OrderState) -> None:
        """Take over what the row says. Two activities may answer out of order: the newer wins."""
        before = self._state
        if before is None:
            self._state = state
        elif state.version >= before.version:
            # The first reply is told once; what comes later does not change it.
            self._state = replace(state, reply=before.reply or state.reply)
        if self._answered:
            self._tell_operators()

    def _tell_operators(self) -> None:
        """Say how the order stands. The label costs two events each time it is set and removed, and
        the first one in a run two more for the patch: an order that waits for nothing has none.
        """
        workflow.set_current_details(details(self._known))
        label = status_label(self._known)
        if label != self._status_label and workflow.patched("order-status"):
            self._status_label = label
            change = ORDER_STATUS.value_unset() if label is None else ORDER_STATUS.value_set(label)
            workflow.upsert_search_attributes([change])

    def _exchange_to_ask(self) -> Question | None:
        """What the exchange has yet to answer and nobody asks it."""
        state = self._known
        if state.unanswered and "submission" not in self._asking:
            return "submission"
        if state.status == PENDING_CANCEL and not state.ended and "cancel" not in self._asking:
            return "cancel"
        return None

    def _ask_the_exchange(self) -> None:
        """Start asking beside everything else: settling never waits for an exchange call."""
        question = self._exchange_to_ask()
        if question is not None:
            self._asking[question] = asyncio.create_task(self._ask(question))  # noqa: TID251 - kept, and run waits for it

    async def _ask(self, question: Question) -> None:
        try:
            if question == "submission":
                self._adopt(await _patiently(ExchangeActivities.resolve_submission, self._key))
            else:
                # Not locally: a fill that comes meanwhile would wait for the exchange's answer.
                self._adopt(await _patiently(ExchangeActivities.send_cancel, self._key))
        finally:
            del self._asking[question]

    async def _record_cancel(self, request: CancelOrder) -> None:
        """Record the wish, at the order's newest version, unless the order has ended."""
        while self._cancel is not None:
            command = CancelRequested(
                self._key.order_id,
                self._key.user_id,
                request.actor,
                request.address,
                seen_version=self._known.version,
            )
            self._adopt(await _surely(OrderActivities.request_cancel, command))
            if self._known.status == PENDING_CANCEL or self._known.status not in OPEN:
                self._cancel = None

    async def _settle(self) -> None:
        reports = list(self._waiting.values())[: policies.SETTLED_TOGETHER_MAX]
        request = SettleRequest(self._key.order_id, self._key.user_id, reports)
        result = await _surely(OrderActivities.settle, request)
        self._adopt(result.state)
        for report_id in result.settled_ids:
            self._settled.add(report_id)
            self._waiting.pop(report_id, None)


Argument = TypeVar("Argument")
Result = TypeVar("Result")
Activity = Callable[[Any, Argument], Awaitable[Result]]


async def _locally(
    activity: Activity[Argument, Result], argument: Argument, retry: RetryPolicy
) -> Result:
    """Within this workflow task, for at most `FAST_TIMEOUT`.

    Raises `FailureError`: the SDK hands on a local activity's own error bare, and wraps a timeout.
    """
    return await workflow.execute_local_activity_method(
        activity,
        argument,
        schedule_to_close_timeout=policies.FAST_TIMEOUT,
        retry_policy=retry,
        local_retry_threshold=policies.LOCAL_RETRY_THRESHOLD,
        summary=STEPS[activity],
    )


async def _patiently(activity: Activity[Argument, Result], argument: Argument) -> Result:
    """As a normal activity, retried without limit, visible to operators while it waits."""
    return await workflow.execute_activity_method(
        activity,
        argument,
        start_to_close_timeout=policies.SLOW_ATTEMPT_TIMEOUT,
        retry_policy=policies.UNTIL_DONE,
        summary=STEPS[activity],
    )


async def _surely(
    activity: Activity[Argument, Result], argument: Argument, retry: RetryPolicy = policies.TWICE
) -> Result:
    """Locally if that works, patiently otherwise."""
    try:
        return await _locally(activity, argument, retry)
    except FailureError:
        return await _patiently(activity, argument)
