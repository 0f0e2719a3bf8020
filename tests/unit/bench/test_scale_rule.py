"""The autoscaler's rule, against what Kubernetes documents of it, and against our manifest."""

import pytest

from bench.scale.command import manifest_rule
from bench.scale.rule import DOWN, UP, Autoscaler, Direction, Policy, Rule

RULE = Rule(target=20, replicas_min=1, replicas_max=8)


def decided(rule: Rule, backlogs: dict[float, int], replicas: int = 1) -> list[int]:
    scaler = Autoscaler(rule)
    found = []
    for at, backlog in backlogs.items():
        replicas = scaler.decide(at, backlog, replicas)
        found.append(replicas)
    return found


@pytest.mark.parametrize(
    ("backlog", "replicas"), [(0, 1), (1, 1), (20, 1), (21, 1), (23, 2), (40, 2), (61, 4)]
)
def test_each_has_its_target_and_a_tenth_more_is_let_pass(backlog: int, replicas: int) -> None:
    assert decided(RULE, {0: backlog}) == [replicas]


def test_never_more_than_the_most_nor_fewer_than_the_least() -> None:
    wide = Rule(10, 2, 5, up=Direction(0, [Policy("Pods", 99, 15)]), down=Direction(0, [ALL]))

    assert decided(wide, {0: 1_000, 15: 0}, replicas=3) == [5, 2]


ALL = Policy("Percent", 100, 15)


def test_it_grows_as_fast_as_the_most_generous_policy_lets_it() -> None:
    two = Direction(0, [Policy("Percent", 100, 15), Policy("Pods", 2, 15)])

    # From 1 two more; within the same period none; then, from 3, twice as many.
    assert decided(Rule(10, 1, 99, up=two), {0: 900, 10: 900, 16: 900}) == [3, 3, 6]


def test_it_shrinks_only_when_the_whole_window_wanted_less() -> None:
    slow = Rule(10, 1, 8, down=Direction(60, [ALL]))

    assert decided(slow, {0: 40, 30: 0, 60: 0, 61: 0, 90: 25, 120: 0}) == [4, 4, 4, 1, 3, 3]


def test_it_shrinks_in_steps_where_a_policy_says_so() -> None:
    fifth = Rule(10, 1, 8, down=Direction(0, [Policy("Percent", 20, 60)]))
    seconds = (0, 30, 61, 122, 183)

    assert decided(fifth, dict.fromkeys(seconds, 0), replicas=4) == [3, 3, 2, 1, 1]


def test_a_faster_clock_shortens_every_time_and_nothing_else() -> None:
    fast = RULE.faster(5)

    assert (fast.target, fast.replicas_max, fast.sync_seconds) == (20, 8, 3)
    assert fast.down.window_seconds == DOWN.window_seconds / 5
    assert [one.period_seconds for one in fast.up.policies] == [3, 3]
    assert [one.value for one in fast.up.policies] == [one.value for one in UP.policies]


def test_what_the_manifest_says_is_what_is_done() -> None:
    deployed = manifest_rule()

    assert deployed.target == 10
    assert deployed.down == Direction(300, [Policy("Percent", 20, 60)])


def test_what_a_manifest_does_not_say_is_as_the_controller_has_it() -> None:
    trigger = {"type": "temporal", "metadata": {"taskQueue": "orders"}}

    rule = Rule.of_manifest({"spec": {"triggers": [trigger]}})

    assert rule == Rule(target=5, replicas_min=0, replicas_max=100, up=UP, down=DOWN)


def test_a_policy_of_another_kind_is_not_taken_for_the_usual_one() -> None:
    behaviour = {"scaleUp": {"selectPolicy": "Min"}}
    trigger = {"type": "temporal", "metadata": {}}
    advanced = {"horizontalPodAutoscalerConfig": {"behavior": behaviour}}

    with pytest.raises(ValueError, match="Min"):
        Rule.of_manifest({"spec": {"triggers": [trigger], "advanced": advanced}})
