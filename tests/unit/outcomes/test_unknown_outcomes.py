"""A thousand orders whose answers are lost, late, wrong or doubled: each ends in the truth.

What is real: `workflows/order.py`, the activities, the domain, `storage/writes.py` down to its
statements, the gateway's client, service, batcher and exchange client, and the exchange's engine.
What is not: what lies between them (Temporal, NATS, Postgres, HTTP, processes, the clock). These
are small models in this folder, which keep what the code relies on and fail in every way it must
survive. The same on real servers: tests/integration/test_orders_unknown_outcomes.py, tests/faults.

A seed that fails prints what it did; `play(seed)` does it again.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Final

import pytest
import structlog

from brokerage.domain.states import CLOSED
from tests.unit.outcomes.bus import BUS_FAULTS
from tests.unit.outcomes.case import play, substituted_clocks
from tests.unit.outcomes.chance import Chance
from tests.unit.outcomes.exchange import CANCEL_FAULTS, EXCHANGE_FAULTS, WIRE_FAULTS
from tests.unit.outcomes.planted import PLANTED, Planted
from tests.unit.outcomes.postgres import COMMIT_FAULTS, STORE_FAULTS
from tests.unit.outcomes.workers import PLACES, PROCESS_FAULTS

SEEDS: Final = 1_000
SHOWN_MAX: Final = 3


@pytest.fixture(autouse=True)
def virtual_clocks() -> Iterator[None]:
    """The clocks of the model, and no log of a thousand failures that are meant."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with substituted_clocks():
        yield
    structlog.configure(**before)


def told(seed: int, chance: Chance) -> str:
    """What became of a seed, to be read."""
    return "\n".join([f"seed {seed}: {'; '.join(chance.broken)}", *chance.trace, ""])


def test_a_thousand_unknown_outcomes_end_in_the_truth_and_every_fault_struck() -> None:
    fired: Counter[str] = Counter()
    failed: list[str] = []
    for seed in range(SEEDS):
        chance = play(seed)
        fired += chance.fired
        if chance.broken:
            failed.append(told(seed, chance))

    assert not failed, f"{len(failed)} seeds\n\n" + "\n".join(failed[:SHOWN_MAX])
    struck = [
        *(f"worker {place}: {fault}" for place in PLACES for fault in PROCESS_FAULTS),
        *(f"wire: {fault}" for fault in WIRE_FAULTS),
        *(f"bus: {fault}" for fault in BUS_FAULTS),
        *(f"database: {fault}" for fault in (*STORE_FAULTS, *COMMIT_FAULTS)),
        *(f"exchange: {fault}" for fault in (*EXCHANGE_FAULTS, *CANCEL_FAULTS)),
        *(f"exchange: tells a {kind}" for kind in ("execution", "end", "bust", "correction")),
        *(f"ended {status}" for status in CLOSED),
        "first task begun anew",
        "later task begun anew",
        "continued as new",
    ]
    assert [fault for fault in struck if not fired[fault]] == []


def test_a_seed_tells_the_same_story_every_time() -> None:
    assert play(7).trace == play(7).trace


@pytest.mark.parametrize("bug", PLANTED, ids=str)
def test_a_planted_bug_is_found(bug: Planted) -> None:
    stories = (play(seed, bug.code) for seed in range(SEEDS))

    assert any(bug.found_as in broken for story in stories for broken in story.broken)
