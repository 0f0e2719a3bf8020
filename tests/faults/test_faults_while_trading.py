"""The exchange loses answers, its feed repeats and swaps messages, cancels race fills, and every
process on an order's way is killed once: nothing is lost or doubled.
"""

from bench.checks import in_flight
from bench.faults import DISORDER, UNKNOWN, Faults, never_struck
from bench.kills import KILLABLE
from bench.plan import draw_wishes
from bench.target import own_stack
from bench.trial import run_trial

ORDERS = 120
USERS = 6
# Enough that none of the faults stays away by chance.
OFTEN = Faults(unknown=0.5, disorder=0.2)


async def test_trading_through_faults_and_kills_loses_and_doubles_nothing() -> None:
    wishes = draw_wishes(USERS, ORDERS, seed=5, prefix="faults", races=0.2)

    async with own_stack(speed=60.0) as target:
        trial = await run_trial(target, wishes, kill=KILLABLE, faults=OFTEN, seed=5)

    expected = {(where, action) for where, actions in UNKNOWN.items() for action in actions}
    expected |= {("feed", action) for action in DISORDER} | {("place", "late-fill")}
    assert {(one.where, one.action) for one in trial.strikes} == expected
    assert never_struck(trial.strikes) == []
    assert [str(one.kill) for one in trial.killed if not one.happened] == []
    assert {one.kill.name for one in trial.killed} == {"orders-1", "gateway", "feed", "executions"}
    assert trial.outcome.lost == []
    assert sum(trial.outcome.answers.values()) >= ORDERS
    assert trial.by_status["filled"] > 0
    assert [str(difference) for difference in trial.differences] == []
    assert in_flight(trial.ours) == []
    assert trial.outcome.races.total() == sum(wish.races for wish in wishes)
