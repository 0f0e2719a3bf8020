"""What Temporal's UI says of an order in words: what it waits for, since when, and what comes next.

`details` is recomputed with each change and costs no event; `status_label` is a search attribute,
which does, so it is there only while the exchange owes an answer.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, ParamSpec, TypeVar, cast

from temporalio import workflow

from activities.exchange import ExchangeActivities
from activities.orders import OrderActivities
from brokerage.contracts.commands import OrderState
from brokerage.domain.states import OPEN, OrderStatus
from brokerage.domain.why import WaitsFor

STEPS: Final[Mapping[Callable[..., Any], str]] = {
    OrderActivities.reserve: "write the row, hold cash or shares",
    OrderActivities.adopt: "read the row",
    OrderActivities.settle: "book executions",
    OrderActivities.request_cancel: "record the cancel",
    ExchangeActivities.submit: "send to the exchange",
    ExchangeActivities.resolve_submission: "find out if the exchange has it",
    ExchangeActivities.send_cancel: "have the exchange cancel it",
}
"""The summary of each activity: one of the timeline's lines."""

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def documented_update(
    handler: Callable[Parameters, Awaitable[Result]],
) -> workflow.UpdateMethodMultiParam[Parameters, Result]:
    """`workflow.update` for a handler whose docstring operators see.

    The SDK's own signature for that loses what the handler returns once it is awaited.
    """
    update: workflow.UpdateMethodMultiParam[Parameters, Result] = workflow.update(
        description=handler.__doc__
    )(cast(Any, handler))
    return update


BEFORE_THE_ROW: Final = (
    "**Not on record yet.** Its row is being written or read; Postgres is asked until it answers."
)


def status_label(state: OrderState) -> str | None:
    """The value of `OrderStatus`: what the exchange has yet to answer, or None."""
    if state.status == OrderStatus.PENDING_CANCEL:
        return None if state.ended else WaitsFor.WAITING_FOR_CANCEL.value
    return WaitsFor.UNKNOWN_OUTCOME.value if state.unanswered else None


def details(state: OrderState) -> str:
    """How the order stands, as Markdown."""
    match status_label(state):
        case WaitsFor.UNKNOWN_OUTCOME:
            return (
                "**Unknown outcome.** The exchange has not answered whether it has this order;"
                f" {_filled(state)}. Unchanged since {_moment(state)}.\n\n**Next:** until ten"
                " seconds after its placement it is sent again under the same id. After that the"
                " exchange is asked: found, it is adopted; absent for good, it is `failed` and the"
                " money is free again. The pending activity tells the attempts and the last answer."
            )
        case WaitsFor.WAITING_FOR_CANCEL:
            return (
                f"**Waiting for cancel.** It was asked for with {_filled(state)}, and the exchange"
                f" has not answered. Unchanged since {_moment(state)}.\n\n**Next:** the exchange is"
                " asked until it answers. Executions until then are booked; if they fill the"
                " order, they win. The pending activity tells the attempts and the last answer."
            )
    if state.status in OPEN and not state.ended:
        return (
            f"**At the exchange** as `{state.external_order_id}`, {_filled(state)}. Unchanged since"
            f" {_moment(state)}.\n\n**Next:** executions are booked as the exchange reports them."
            " It waits for them, for a cancel, or for its end there; nothing has to be done."
        )
    if not state.settled:
        return (
            f"**Executions missing.** It has ended at the exchange, which executed more than is"
            f" booked here: {_filled(state)}. Unchanged since {_moment(state)}.\n\n**Next:** they"
            " come with the exchange's feed, and the order is over once they are booked."
        )
    return f"**{state.status.capitalize()}** since {_moment(state)}, {_filled(state)}."


def _filled(state: OrderState) -> str:
    if not state.shares:
        return "filled as far as its row says"
    return f"{state.filled_shares:,} of {state.shares:,} shares filled"


def _moment(state: OrderState) -> str:
    if not state.changed_at_ms:
        return "before this was recorded"
    changed_at = datetime.fromtimestamp(state.changed_at_ms / 1000, UTC)
    return f"{changed_at:%Y-%m-%d %H:%M:%S} UTC"
