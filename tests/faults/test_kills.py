"""Every process on an order's way is killed once while users trade; nothing is lost or doubled."""

from bench.kills import KILLABLE
from bench.plan import draw_wishes
from bench.target import own_stack
from bench.trial import run_trial

ORDERS = 120
USERS = 6


async def test_kills_in_the_middle_of_trading_lose_and_double_nothing() -> None:
    wishes = draw_wishes(USERS, ORDERS, seed=11, prefix="kills")

    async with own_stack(speed=60.0) as target:
        trial = await run_trial(target, wishes, kill=KILLABLE, seed=11)

    assert [str(one.kill) for one in trial.killed if not one.happened] == []
    assert {one.kill.name for one in trial.killed} == {"orders-1", "gateway", "feed", "executions"}
    assert trial.outcome.lost == []
    assert [str(difference) for difference in trial.differences] == []
    assert sum(trial.outcome.answers.values()) >= ORDERS
    assert trial.by_status["filled"] > 0
