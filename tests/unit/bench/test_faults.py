"""What a run asks the exchange to do wrong, and that its report tells what came of it."""

from collections import Counter
from dataclasses import replace

import msgspec
import pytest
from rich.console import Console

from bench.faults import DISORDER, UNKNOWN, Faults, Strikes, equal_chances
from bench.report import show_trial
from bench.traders import Outcome
from bench.trial import Trial
from brokerage.storage.audit import Audit, AuditedOrder
from exchange.faults import Call, FaultRules, RuleRequest
from exchange.feed_faults import FeedFaultRequest
from exchange.protocol import Status

CALLS = 10_000
IN_FLIGHT = AuditedOrder("o1", "ann", "SPY", "buy", 10, 16_800, "pending", 0, 0, 0)
TRIAL = Trial(
    wishes=(),
    outcome=Outcome(cancels=Counter(cancelled=3), races=Counter({"too-late-to-cancel": 7})),
    ours=Audit(orders=(IN_FLIGHT,), executions=(), ledger={}, contradictions=()),
    differences=(),
    killed=(),
    strikes=(Strikes("place", "drop", 4), Strikes("cancel", "drop", 2)),
    exchange=Status("open", 60.0, 0, 0, 0, 0.0, 0, [], {}),
    trading_seconds=1.0,
    settling_seconds=1.0,
)


def shown(trial: Trial) -> str:
    console = Console(width=120)
    with console.capture() as capture:
        show_trial(console, trial)
    return capture.get()


@pytest.mark.parametrize(("total", "count"), [(0.1, 6), (0.1, 2), (1.0, 3), (0.0, 2)])
def test_chances_asked_in_turn_strike_equally_often_and_together_the_total(
    total: float, count: int
) -> None:
    left = 1.0
    for chance in equal_chances(total, count):
        assert left * chance == pytest.approx(total / count)
        left *= 1 - chance
    assert 1 - left == pytest.approx(total)


def test_a_tenth_of_the_calls_is_struck_by_each_fault_alike() -> None:
    rules = FaultRules(seed=1)
    for kind, body in Faults(unknown=0.1).requests("sherwood"):
        assert kind == "rules"
        rules.add(msgspec.convert(body, RuleRequest))

    struck = [rules.strike_call([Call("place", "sherwood")]) for _ in range(CALLS)]
    of_others = rules.strike_call([Call("place", "somebody")])

    counts = Counter(one.action for one in struck if one is not None)
    assert set(counts) == set(UNKNOWN["place"])
    assert 900 < counts.total() < 1_100
    assert min(counts.values()) > 110
    assert of_others is None


def test_disorder_concerns_our_own_messages_for_the_whole_run() -> None:
    asked = Faults(disorder=0.05).requests("sherwood")

    requests = [msgspec.convert(body, FeedFaultRequest) for _, body in asked]
    assert {kind for kind, _ in asked} == {"feed"}
    assert [one.action for one in requests] == list(DISORDER)
    for one in requests:
        assert (one.stream, one.member, one.probability) == ("member", "sherwood", 0.05)
        assert one.times >= 100_000


def test_without_faults_nothing_is_asked() -> None:
    assert Faults().requests("sherwood") == []


def test_report_tells_how_cancels_ended_and_how_often_each_fault_struck() -> None:
    text = " ".join(shown(TRIAL).split())

    assert "│ cancelled │ 3 │ 0 │" in text
    assert "│ too-late-to-cancel │ 0 │ 7 │" in text
    assert "│ drop │ 4 │ 2 │" in text
    assert "orders in flight │ 1 │" in text
    assert "never" not in text


@pytest.mark.parametrize(
    ("idle", "named"),
    [
        (Strikes("place", "garbage", 0), ["garbage"]),
        (Strikes("feed", "reorder", 0), ["feed", "reorder"]),
        (Strikes("cancel", "drop", 0), []),
    ],
)
def test_a_fault_that_was_never_seen_spoils_the_run_and_is_named(
    idle: Strikes, named: list[str]
) -> None:
    trial = replace(TRIAL, strikes=(*TRIAL.strikes, idle))

    assert trial.is_good == (not named)
    assert [line for line in shown(trial).splitlines() if "never" in line] == [
        f"never struck: {name}" for name in named
    ]
