"""What an operator is told to do next, by what is known of an order."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from typing import get_args

import pytest

from brokerage.domain.next_act import PATIENCE, Advice, Held, NextAct, Run, There, advise
from brokerage.domain.orders import Order, OrderStatus, Outcome, TimeInForce
from tests.support.orders import NOON, an_order

AGAIN = NOON + timedelta(seconds=7)
SOON = NOON + timedelta(seconds=20)
LATE = NOON + PATIENCE + timedelta(seconds=1)
MUCH_LATER = NOON + 3 * PATIENCE

RUNNING = Run("running")
ASKING = Run("running", step="resolve_submission", attempt=9, next_attempt_at=AGAIN)
GONE = Run("absent")
AWAY = Run("unreachable")
FAILING = Run("running", task_failures=3)
ABSENT, SILENT, UNHEARD = There("absent"), There("silent"), There("unheard")
OPEN_THERE = There("found", "open")

PENDING = an_order()
RESTING = an_order(status=OrderStatus.SUBMITTED, outcome=Outcome.ACCEPTED, external_order_id="x-1")
LEAVING = replace(RESTING, status=OrderStatus.PENDING_CANCEL)
IOC = replace(RESTING, time_in_force=TimeInForce.IOC)
SHORT = replace(LEAVING, end_status=OrderStatus.CANCELLED, final_shares=4)
FILLED = replace(
    RESTING,
    status=OrderStatus.FILLED,
    filled_shares=10,
    executed_shares=10,
    matched_shares=10,
)
FAILED = an_order(status=OrderStatus.FAILED)
HELD: dict[str, object] = {"held": Held(orders=True, executions=True)}
UNREADABLE: dict[str, object] = {"parked": None, "dead": None}


def told(
    order: Order | None,
    run: Run,
    there: There,
    *,
    parked: int | None = 0,
    dead: int | None = 0,
    now: datetime = SOON,
    held: Held = Held(),  # noqa: B008 - it cannot be changed
) -> Advice:
    return advise(order, run, there, parked=parked, dead=dead, now=now, held=held)


@pytest.mark.parametrize(
    ("order", "run", "there", "also", "act"),
    [
        # Nothing is on record.
        (None, RUNNING, ABSENT, {}, NextAct.WAIT),
        (None, GONE, OPEN_THERE, {}, NextAct.RECONCILE),
        (None, AWAY, ABSENT, {}, NextAct.START_PART),
        (None, GONE, SILENT, {}, NextAct.START_PART),
        (None, GONE, ABSENT, {}, NextAct.REPEAT_WITH_SAME_KEY),
        (None, Run("ended"), ABSENT, {}, NextAct.NOTHING),
        # The outcome is unknown, or a cancel is not answered.
        (PENDING, AWAY, SILENT, {}, NextAct.START_PART),
        (PENDING, GONE, SILENT, {}, NextAct.WAIT),
        (PENDING, GONE, SILENT, {"now": MUCH_LATER}, NextAct.START_PART),
        (PENDING, ASKING, UNHEARD, {}, NextAct.START_PART),
        (PENDING, ASKING, OPEN_THERE, {"now": MUCH_LATER}, NextAct.WAIT),
        (PENDING, ASKING, SILENT, {"now": NOON}, NextAct.WAIT),
        (PENDING, ASKING, SILENT, {}, NextAct.WAIT),
        (PENDING, ASKING, SILENT, {"now": LATE}, NextAct.CALL_EXCHANGE),
        (PENDING, ASKING, ABSENT, {"now": MUCH_LATER}, NextAct.WAIT),
        (IOC, ASKING, SILENT, {"now": LATE}, NextAct.CALL_EXCHANGE),
        (LEAVING, ASKING, OPEN_THERE, {}, NextAct.WAIT),
        (LEAVING, ASKING, SILENT, {"now": LATE}, NextAct.CALL_EXCHANGE),
        (LEAVING, GONE, SILENT, {"now": MUCH_LATER}, NextAct.START_PART),
        # Executions are missing.
        (SHORT, RUNNING, There("found", "cancelled", 4), {}, NextAct.WAIT),
        (SHORT, RUNNING, There("found", "cancelled", 4), {"now": LATE}, NextAct.RECONCILE),
        (SHORT, RUNNING, There("found", "cancelled", 4), {"dead": 1}, NextAct.REPLAY_DEAD_LETTERS),
        (RESTING, RUNNING, There("found", "open", 4), {}, NextAct.WAIT),
        (RESTING, RUNNING, There("found", "open", 4), {"now": LATE}, NextAct.RECONCILE),
        (RESTING, RUNNING, OPEN_THERE, {"parked": 2}, NextAct.WAIT),
        (RESTING, RUNNING, OPEN_THERE, {"parked": 2, "now": LATE}, NextAct.RECONCILE),
        # They are held back on purpose.
        (SHORT, RUNNING, There("found", "cancelled", 4), HELD, NextAct.RELEASE_KILL_SWITCH),
        (RESTING, RUNNING, There("found", "open", 4), HELD, NextAct.RELEASE_KILL_SWITCH),
        (RESTING, RUNNING, There("found", "cancelled"), HELD, NextAct.RELEASE_KILL_SWITCH),
        (RESTING, RUNNING, OPEN_THERE, {"parked": 2, **HELD}, NextAct.RELEASE_KILL_SWITCH),
        (FILLED, Run("ended"), There("found", "filled", 12), HELD, NextAct.RELEASE_KILL_SWITCH),
        (RESTING, RUNNING, OPEN_THERE, {"dead": 1, **HELD}, NextAct.REPLAY_DEAD_LETTERS),
        (RESTING, RUNNING, OPEN_THERE, HELD, NextAct.NOTHING),
        (PENDING, ASKING, SILENT, {"now": LATE, **HELD}, NextAct.CALL_EXCHANGE),
        # Nobody can say whether some lie aside.
        (RESTING, RUNNING, OPEN_THERE, UNREADABLE, NextAct.START_PART),
        (RESTING, FAILING, OPEN_THERE, UNREADABLE, NextAct.ROLL_BACK_WORKERS),
        (FILLED, Run("ended"), There("found", "filled", 10), UNREADABLE, NextAct.NOTHING),
        # It stands at the exchange, or should.
        (RESTING, RUNNING, OPEN_THERE, {"now": MUCH_LATER}, NextAct.NOTHING),
        (RESTING, GONE, OPEN_THERE, {}, NextAct.NOTHING),
        (RESTING, AWAY, OPEN_THERE, {}, NextAct.NOTHING),
        (RESTING, RUNNING, SILENT, {"now": MUCH_LATER}, NextAct.NOTHING),
        (RESTING, RUNNING, UNHEARD, {}, NextAct.START_PART),
        (RESTING, RUNNING, ABSENT, {}, NextAct.CANCEL),
        (RESTING, RUNNING, There("found", "expired"), {}, NextAct.WAIT),
        (RESTING, RUNNING, There("found", "expired"), {"now": LATE}, NextAct.RECONCILE),
        (RESTING, FAILING, OPEN_THERE, {}, NextAct.ROLL_BACK_WORKERS),
        (RESTING, FAILING, OPEN_THERE, {"dead": 1}, NextAct.REPLAY_DEAD_LETTERS),
        # It is over.
        (FILLED, Run("ended"), There("found", "filled", 10), {}, NextAct.NOTHING),
        (FILLED, Run("ended"), There("found", "filled", 12), {}, NextAct.RECONCILE),
        (
            FILLED,
            Run("ended"),
            There("found", "filled", 10),
            {"dead": 1},
            NextAct.REPLAY_DEAD_LETTERS,
        ),
        (FAILED, Run("ended"), OPEN_THERE, {}, NextAct.CALL_EXCHANGE),
        (FAILED, Run("ended"), ABSENT, {}, NextAct.NOTHING),
        (FAILED, AWAY, UNHEARD, {}, NextAct.NOTHING),
    ],
)
def test_the_next_act(
    order: Order | None, run: Run, there: There, also: dict[str, object], act: NextAct
) -> None:
    assert told(order, run, there, **also).act is act  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("order", "run", "now", "not_before"),
    [
        (PENDING, GONE, SOON, NOON + 2 * PATIENCE),
        (PENDING, ASKING, NOON, PENDING.send_by + timedelta(seconds=2)),
        (PENDING, ASKING, SOON, AGAIN),
        (LEAVING, ASKING, NOON, AGAIN),
        (SHORT, RUNNING, SOON, NOON + PATIENCE),
    ],
)
def test_who_waits_is_told_until_when(
    order: Order, run: Run, now: datetime, not_before: datetime
) -> None:
    assert told(order, run, SILENT, now=now).not_before == not_before


def test_what_the_kill_switch_keeps_from_being_sent_says_so() -> None:
    stopped = Held(orders=True)

    free = told(PENDING, ASKING, SILENT, now=NOON)
    kept = told(PENDING, ASKING, SILENT, now=NOON, held=stopped)
    unknown = told(None, GONE, ABSENT, held=stopped)

    assert (kept.act, kept.not_before) == (free.act, free.not_before)
    assert "kill switch" in kept.because
    assert "kill switch" not in free.because
    assert unknown.act is NextAct.REPEAT_WITH_SAME_KEY
    assert "kill switch" in unknown.because


def test_whatever_is_known_there_is_one_act_and_a_reason() -> None:
    orders = [None, PENDING, RESTING, LEAVING, IOC, SHORT, FILLED, FAILED]
    theres = [ABSENT, SILENT, UNHEARD] + [
        There("found", status, shares)
        for status in ("open", "filled", "cancelled", "expired", "rejected")
        for shares in (0, 4, 10)
    ]
    runs = [Run(state) for state in ("running", "ended", "absent", "unreachable")]
    assert {there.answer for there in theres} == set(
        get_args(There.__dataclass_fields__["answer"].type)
    )
    for order, there, run, now in product(orders, theres, [*runs, ASKING, FAILING], (SOON, LATE)):
        advice = told(order, run, there, now=now)

        assert advice.because.endswith(".")
        # What may still be at the exchange is never placed anew.
        if advice.act is NextAct.REPEAT_WITH_SAME_KEY:
            assert order is None
            assert there == ABSENT
        # Nobody is sent to the exchange's people while our own parts are away.
        if advice.act is NextAct.CALL_EXCHANGE:
            assert there.answer != "unheard"
