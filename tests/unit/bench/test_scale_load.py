"""The shape of the load, and what is shown of a run."""

from pathlib import Path

from bench.scale.command import spark
from bench.scale.fleet import CLEAN, Drain
from bench.scale.load import Answered, Shape
from bench.scale.plot import draw
from bench.scale.rule import Rule
from bench.scale.run import Change, Look, Scaled, Setting

SHAPE = Shape(low=2, high=10, low_seconds=10, rise_seconds=20, high_seconds=5, after_seconds=10)


def good() -> Scaled:
    setting = Setting(Rule(10, 1, 4), SHAPE, slots=3, exchange_seconds=0.25)
    return Scaled(
        setting,
        looks=[
            Look(0.0, 2, 0, 1, 1, asked=0, answered=0),
            Look(1.0, 2, 12, 2, 1, asked=2, answered=2),
        ],
        changes=[Change(1.0, 12, 1, 2)],
        drains=[Drain("orders-2", 30.0, 0.4, CLEAN)],
        answered=[Answered(0.1, 0.2, "taken", "o1"), Answered(0.6, 0.3, "refused: band", None)],
    )


def test_rate_rises_stays_and_falls() -> None:
    assert [SHAPE.rate(at) for at in (0, 9.9, 20, 30, 34, 36, 45)] == [2, 2, 6, 10, 10, 2, 0]


def test_orders_are_as_many_as_the_rates_say() -> None:
    moments = list(SHAPE.moments())

    assert moments == sorted(moments)
    assert moments[-1] < SHAPE.seconds
    # 10 s at 2, 20 s at 6 on average, 5 s at 10, 10 s at 2.
    assert abs(len(moments) - (20 + 120 + 50 + 20)) <= 3


def test_a_run_is_good_only_if_all_was_seen_and_nothing_lost() -> None:
    assert good().is_good
    spoiled = [good() for _ in range(5)]
    spoiled[0].missing.append("o1")
    spoiled[1].answered.append(Answered(1, 60, "unanswered: Unavailable", None))
    spoiled[2].drains.append(Drain("orders-3", 40.0, 15.0, "killed by SIGKILL"))
    spoiled[3].changes.clear()
    spoiled[4].looks.pop()

    assert not any(one.is_good for one in spoiled)


def test_bars_are_as_high_as_the_values() -> None:
    assert spark([0, 4, 8]) == " ▄█"
    assert spark([0, 0]) == "  "


def test_the_same_run_is_the_same_picture(tmp_path: Path) -> None:
    files = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for file in files:
        draw(good(), file)

    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert b"backlog of the task queue" in first
