"""`make demo-scale` in short: a backlog is seen, a worker comes by the rule and leaves in order."""

from pathlib import Path

from bench.scale.load import Shape
from bench.scale.plot import draw
from bench.scale.rule import Direction, Policy, Rule
from bench.scale.run import Scaled, Setting, scale

ANY = (Policy("Percent", 100, 0.5),)
RULE = Rule(2, 1, 2, up=Direction(0, ANY), down=Direction(3, ANY), sync_seconds=0.5)
SHAPE = Shape(low=2, high=12, low_seconds=1, rise_seconds=2, high_seconds=4, after_seconds=5)
"""More for a while than one worker can have: two in hand, each a third of a second at least."""


async def test_a_worker_comes_with_the_backlog_and_leaves_without_losing_an_order(
    tmp_path: Path,
) -> None:
    looks: list[int] = []

    def seen(scaled: Scaled) -> None:
        looks.append(scaled.looks[-1].backlog)

    scaled = await scale(Setting(RULE, SHAPE, slots=2, exchange_seconds=0.3), seen=seen)

    assert scaled.backlog_max == max(looks) > 0
    first, last = scaled.changes[0], scaled.changes[-1]
    assert (first.before, first.after) == (1, 2)
    assert first.backlog > RULE.target
    assert (last.before, last.after) == (2, 1)
    assert [(one.name, one.clean) for one in scaled.drains] == [("orders-2", True)] * len(
        scaled.drains
    )
    assert scaled.drains
    assert len(scaled.answered) == len(list(SHAPE.moments()))
    assert (scaled.missing, scaled.differences) == ([], [])
    assert scaled.nothing_lost
    assert scaled.is_good
    draw(scaled, tmp_path / "run.svg")
