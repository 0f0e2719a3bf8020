"""What an operator does next about an order: decided from its row, its run and the exchange.

Everything but calling the exchange is safe to do twice. What will become right by itself is left
alone, and said so.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal

from brokerage.domain.orders import Order, OrderStatus

PATIENCE: Final = timedelta(minutes=1)
"""Longer than this, what repeats itself every ten seconds needs a person."""
PROOF: Final = timedelta(seconds=2)
"""After `send_by`: what the exchange has is visible by then, and absence can be proved."""


class NextAct(StrEnum):
    """The next safe action."""

    NOTHING = "nothing"
    WAIT = "wait"
    """It becomes right by itself; `not_before` is when it may have."""
    REPEAT_WITH_SAME_KEY = "repeat-with-same-key"
    """Nothing is on record: whoever placed it sends the same request again."""
    START_PART = "start-part"
    """A part of ours is away: bring it back, nothing else."""
    ROLL_BACK_WORKERS = "roll-back-workers"
    """The workflow's code fails on this order: run the release before."""
    CANCEL = "cancel"
    """Cancel it as its owner may: that ends what the exchange does not have any more."""
    RELEASE_KILL_SWITCH = "release-kill-switch"
    """Somebody holds it back on purpose: release the switch when the reason is gone."""
    REPLAY_DEAD_LETTERS = "replay-dead-letters"
    RECONCILE = "reconcile"
    """Compare with the exchange's statement; what is missing is sent to the order."""
    CALL_EXCHANGE = "call-exchange"
    """The exchange contradicts itself, or is silent for too long: ask its people."""


@dataclass(frozen=True, slots=True)
class Run:
    """The order's newest run. `task_failures` counts what its code failed in a row; `step` is the
    activity that is repeated, `attempt` how often it was begun, `next_attempt_at` when it is again.
    """

    state: Literal["running", "ended", "absent", "unreachable"]
    task_failures: int = 0
    step: str | None = None
    attempt: int = 0
    next_attempt_at: datetime | None = None
    last_failure: str | None = None


@dataclass(frozen=True, slots=True)
class There:
    """What the exchange answers about the order: `status` (open, filled, cancelled, expired,
    rejected) and the shares it executed in all, of an order that it has. `unheard`: our own gateway
    did not answer.
    """

    answer: Literal["found", "absent", "silent", "unheard"]
    status: str | None = None
    cumulative_shares: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """What the kill switch holds back: the `orders` that are not sent yet, and the booking of
    `executions`.
    """

    orders: bool = False
    executions: bool = False


FREE: Final = Held()


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, why in a sentence, and before when not to expect anything new."""

    act: NextAct
    because: str
    not_before: datetime | None = None


def advise(
    order: Order | None,
    run: Run,
    there: There,
    *,
    parked: int | None,
    dead: int | None,
    now: datetime,
    held: Held = FREE,
) -> Advice:
    """The first that holds: what is lost, then what fails, then what is held back, then what is
    merely late. `parked` and `dead` are None where the streams cannot be read.
    """
    if order is None:
        return _without_row(run, there, held)
    if dead:
        return Advice(
            NextAct.REPLAY_DEAD_LETTERS, f"{dead} reports of it lie with the dead letters."
        )
    if run.task_failures > 1:
        return Advice(
            NextAct.ROLL_BACK_WORKERS,
            f"The workflow's code failed {run.task_failures} times in a row on it.",
        )
    if order.is_settled:
        return _over(order, there, held)
    if parked is None or dead is None:
        return Advice(
            NextAct.START_PART, "The streams of executions cannot be read: what lies aside is open."
        )
    if parked:
        return _late(order, f"{parked} reports of it are parked", now, held)
    if order.is_open and order.end_status is None and not _owed(order):
        return _at_the_exchange(order, there, now, held)
    if order.end_status is not None or not order.is_open:
        return _late(order, f"{_missing(order)} executed shares are not booked here", now, held)
    return _unanswered(order, run, there, now, held)


def _without_row(run: Run, there: There, held: Held) -> Advice:
    if run.state == "running":
        return Advice(
            NextAct.WAIT, "Its run repeats the writing of its row until Postgres answers."
        )
    if there.answer == "found":
        return Advice(NextAct.RECONCILE, "The exchange has it and we have no row: one was lost.")
    if run.state == "unreachable" or there.answer in ("silent", "unheard"):
        return Advice(NextAct.START_PART, "There is no row, and not all could be asked about it.")
    if run.state == "ended":
        return Advice(
            NextAct.NOTHING,
            "Its run was ended before there was a row, and the exchange has nothing: the key is"
            " used up, and the same order may be placed under a new one.",
        )
    refused = "; the kill switch refuses it until it is released" if held.orders else ""
    return Advice(
        NextAct.REPEAT_WITH_SAME_KEY,
        f"Neither a row, nor a run, nor the exchange knows of it{refused}.",
    )


def _over(order: Order, there: There, held: Held) -> Advice:
    if there.answer == "found" and there.status == "open":
        return Advice(
            NextAct.CALL_EXCHANGE,
            f"It is {order.status.value} here and open there: it may still trade, for the firm.",
        )
    if there.answer == "found" and there.cumulative_shares > order.matched_shares:
        what = (
            f"The exchange executed {there.cumulative_shares:,} shares, of which"
            f" {order.matched_shares:,} are booked here"
        )
        return _held_back(what) if held.executions else Advice(NextAct.RECONCILE, f"{what}.")
    return Advice(NextAct.NOTHING, f"It is {order.status.value}, and all of it is booked.")


def _at_the_exchange(order: Order, there: There, now: datetime, held: Held) -> Advice:
    if there.answer == "absent":
        return Advice(
            NextAct.CANCEL,
            "The exchange acknowledged it and does not know it any more: a cancel ends it with what"
            " is booked.",
        )
    if there.answer == "unheard":
        return Advice(NextAct.START_PART, "The gateway does not answer: nobody can ask or cancel.")
    if there.cumulative_shares > order.matched_shares:
        return _late(order, "The exchange executed more of it than is booked here", now, held)
    if there.answer == "found" and there.status != "open":
        return _late(order, f"It is {there.status} there, which has not been told here", now, held)
    if there.answer == "silent":
        return Advice(NextAct.NOTHING, "It waits at the exchange, which does not answer just now.")
    return Advice(NextAct.NOTHING, "It waits in the exchange's book, as it should.")


def _unanswered(order: Order, run: Run, there: There, now: datetime, held: Held) -> Advice:
    """Only the exchange's answer, to the placement or to the cancel, moves it on."""
    if run.state == "unreachable":
        return Advice(NextAct.START_PART, "Temporal does not answer: nobody asks for it meanwhile.")
    if run.state != "running":
        swept_at = order.updated_at + PATIENCE + PATIENCE
        if now < swept_at:
            return Advice(
                NextAct.WAIT, "No run asks for it; the sweep starts one.", not_before=swept_at
            )
        return Advice(
            NextAct.START_PART, "No run asks for it, and no order worker swept: none may run."
        )
    if there.answer == "unheard":
        return Advice(NextAct.START_PART, "The gateway does not answer: nobody can ask or cancel.")
    again_at = run.next_attempt_at
    what = "cancel" if order.status is OrderStatus.PENDING_CANCEL else "placement"
    if there.answer == "found":
        return Advice(
            NextAct.WAIT,
            f"The exchange has it ({there.status}); the next attempt sees to it.",
            again_at,
        )
    proof_at = order.send_by + PROOF
    if what == "placement" and now < proof_at:
        because = (
            "The kill switch lets no order pass: unless the exchange has it already, it ends as"
            " never placed."
            if held.orders
            else "It is sent until its send-by; then its absence is proved."
        )
        return Advice(NextAct.WAIT, because, proof_at)
    if there.answer == "absent":
        return Advice(
            NextAct.WAIT, "The exchange has no such order; the next attempt ends it.", again_at
        )
    if now - order.updated_at > PATIENCE:
        return Advice(
            NextAct.CALL_EXCHANGE,
            f"The exchange has not answered its {what} since {order.updated_at:%H:%M:%S} UTC, in"
            f" {run.attempt} attempts.",
        )
    return Advice(NextAct.WAIT, f"The exchange is asked about its {what} again.", again_at)


def _late(order: Order, what: str, now: datetime, held: Held) -> Advice:
    if held.executions:
        return _held_back(what)
    due_at = order.updated_at + PATIENCE
    if now < due_at:
        return Advice(NextAct.WAIT, f"{what}; they come with its feed.", due_at)
    return Advice(NextAct.RECONCILE, f"{what}, and the feed has not brought them for a minute.")


def _held_back(what: str) -> Advice:
    return Advice(
        NextAct.RELEASE_KILL_SWITCH,
        f"{what}: the kill switch holds back the booking of executions.",
    )


def _owed(order: Order) -> bool:
    return order.awaits_answer or order.status is OrderStatus.PENDING_CANCEL


def _missing(order: Order) -> int:
    return (order.final_shares or 0) - order.executed_shares
