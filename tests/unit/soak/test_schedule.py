import subprocess
import sys
from collections import Counter
from itertools import islice
from typing import Final

import pytest

from devstack.services import all_names
from tests.soak.byhand import ACTIONS
from tests.soak.schedule import (
    DEAL,
    DISTURBANCES,
    WRONG_ANSWERS,
    Episode,
    episodes,
    wires_of,
)
from tests.support.running import ROOT

PROCESSES: Final = all_names(workers=2, apis=2)
SEEDS: Final = range(5)
MANY: Final = 2_000


def first(count: int, seed: int) -> list[Episode]:
    return list(islice(episodes(seed, PROCESSES), count))


def test_a_seed_is_one_schedule_and_another_seed_another() -> None:
    schedules = {seed: tuple(first(MANY, seed)) for seed in SEEDS}

    assert {seed: tuple(first(MANY, seed)) for seed in SEEDS} == schedules
    assert len({schedule[:5] for schedule in schedules.values()}) == len(SEEDS)


def test_a_seed_is_the_same_schedule_in_another_process() -> None:
    program = (
        "from itertools import islice; from devstack.services import all_names; "
        "from tests.soak.schedule import episodes; "
        f"print(list(islice(episodes(7, all_names(2, 2)), {MANY})))"
    )

    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }

    assert told == {f"{first(MANY, 7)}\n"}


@pytest.mark.parametrize("seed", SEEDS)
def test_at_most_two_faults_are_at_once_and_never_of_the_same_part(seed: int) -> None:
    pairs = [one.faults for one in first(MANY, seed) if len(one.faults) > 1]

    assert len(pairs) == pytest.approx(MANY / 3, abs=2)
    for one, other in pairs:
        assert not one.touches & other.touches


@pytest.mark.parametrize("seed", SEEDS)
def test_every_kind_has_its_turn_before_one_comes_round_again(seed: int) -> None:
    alone = [one.first for one in first(MANY, seed)]

    assert {fault.kind for fault in alone[: 3 * len(DEAL)]} == set(DEAL)
    counted = Counter(fault.kind for fault in alone)
    for kind, times in Counter(DEAL).items():
        assert counted[kind] == pytest.approx(MANY * times / len(DEAL), rel=0.3)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_process_every_wire_and_everything_the_exchange_does_wrong_is_hit(seed: int) -> None:
    hit: dict[str, set[str]] = {}
    for episode in first(MANY, seed):
        for fault in episode.faults:
            hit.setdefault(fault.kind, set()).add(fault.target)

    processes = set(PROCESSES) - {"migrations"}
    wires = set(wires_of(PROCESSES))
    assert hit == {
        "kill": processes,
        "freeze": processes,
        **dict.fromkeys(("cut", "hold", "lose", "slow", "truncate"), wires),
        "answers": set(WRONG_ANSWERS),
        "feed": {f"feed/{action}" for action in DISTURBANCES},
        "order": {f"order/{action}" for action in ACTIONS},
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_some_freezes_outlast_every_attempt_and_no_fault_outlasts_the_schedule(seed: int) -> None:
    freezes = [
        fault.seconds
        for episode in first(MANY, seed)
        for fault in episode.faults
        if fault.kind == "freeze"
    ]

    assert min(freezes) >= 1.0
    assert max(freezes) <= 15.0
    assert any(seconds > 10.0 for seconds in freezes)


def test_a_wire_is_a_process_and_a_server_it_is_told_of() -> None:
    assert set(wires_of(["nats", "exchange", "gateway", "orders-1"])) == {
        "gateway/nats",
        "gateway/exchange",
        "orders-1/nats",
    }
