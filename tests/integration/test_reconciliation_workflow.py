"""What the workflow of a reconciliation makes of what its looks show, on a real Temporal."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.worker import Replayer, Worker

from brokerage.contracts.reconciliation import (
    Begin,
    Conclusion,
    Counts,
    Found,
    Look,
    Looked,
    StartReconciliation,
)
from brokerage.domain.reconciliation import Difference, Kind, Remedy
from devstack.stack import DevStack
from workers.sandbox import production_runner, replay_runner
from workflows.client import connect_temporal
from workflows.converter import DATA_CONVERTER
from workflows.reconciliation import ReconciliationWorkflow

FILL = Difference(Kind.FILL_MISSING, "o-1", "e-1", None, "fill", "ada", Remedy.TELL)
ENDED = Difference(Kind.ENDED_THERE, "o-1", "", "submitted", "cancelled", "ada", Remedy.CANCEL_HERE)
PRICE = Difference(Kind.REPORT_DIFFERS, "o-2", "e-2", "4 at 1", "4 at 2", "bob")
TOTAL = Difference(Kind.TOTAL_DIFFERS, "USD", "", "1", "2")


@dataclass
class Scripted:
    """Activities that show what they are told to, look by look, and keep what they are given."""

    walk: Sequence[Sequence[Difference]] = ((),)
    looks: list[list[Difference]] = field(default_factory=list)
    books: list[list[Difference]] = field(default_factory=list)
    begun: list[Begin] = field(default_factory=list)
    asked: list[list[str]] = field(default_factory=list)
    healed: list[list[Difference]] = field(default_factory=list)
    noted: list[Found] = field(default_factory=list)
    ends: list[Conclusion] = field(default_factory=list)

    @activity.defn
    async def begin_reconciliation(self, begin: Begin) -> Look:
        self.begun.append(begin)
        return Look(7)

    @activity.defn
    async def look_at_orders(self, look: Look) -> Looked:
        step = int(look.ours_after or "0")
        done = step + 1 == len(self.walk)
        return Looked(Look(7, str(step + 1), "", done), list(self.walk[step]), 10, 20)

    @activity.defn
    async def look_again(self, order_ids: list[str]) -> list[Difference]:
        self.asked.append(order_ids)
        return self.looks.pop(0)

    @activity.defn
    async def look_at_books(self, sequence: int) -> list[Difference]:
        assert sequence == 7
        return self.books.pop(0) if self.books else []

    @activity.defn
    async def heal(self, differences: list[Difference]) -> list[str]:
        self.healed.append(differences)
        return [f"did {one.remedy}" for one in differences]

    @activity.defn
    async def note_differences(self, run_id: str, found: list[Found]) -> None:
        self.noted += found

    @activity.defn
    async def conclude_reconciliation(self, end: Conclusion) -> None:
        self.ends.append(end)


async def reconcile(servers: DevStack, told: Scripted) -> str:
    """The verdict of a run over these looks, whose history replays in the sandbox."""
    client = await connect_temporal(servers.env["SHERWOOD_TEMPORAL_ADDRESS"], "default")
    name = f"reconciliation-{uuid4()}"
    async with Worker(
        client,
        task_queue=name,
        workflows=[ReconciliationWorkflow],
        activities=[
            told.begin_reconciliation,
            told.look_at_orders,
            told.look_again,
            told.look_at_books,
            told.heal,
            told.note_differences,
            told.conclude_reconciliation,
        ],
        workflow_runner=production_runner(),
    ):
        handle = await client.start_workflow(
            ReconciliationWorkflow.run,
            StartReconciliation("olga", "a test"),
            id=name,
            task_queue=name,
        )
        verdict = await handle.result()
    history = await handle.fetch_history()
    replayer = Replayer(
        workflows=[ReconciliationWorkflow],
        workflow_runner=replay_runner(),
        data_converter=DATA_CONVERTER,
        # Otherwise what a busy machine takes two seconds for counts as a deadlock.
        debug_mode=True,
    )
    assert (await replayer.replay_workflow(history)).replay_failure is None
    assert [one.verdict for one in told.ends] == [verdict]
    assert {one.run_id for one in told.begun} == {one.run_id for one in told.ends}
    return verdict


CLEAN = Scripted(walk=[[], [], []])
ONCE = Scripted(walk=[[FILL], [PRICE]], looks=[[]], books=[[TOTAL], []])
HEALED = Scripted(walk=[[FILL]], looks=[[FILL], []])
REVEALED = Scripted(walk=[[FILL]], looks=[[FILL], [FILL, ENDED], [ENDED], []])
STAYING = Scripted(
    walk=[[FILL, PRICE]], looks=[[FILL, PRICE] for _ in range(4)], books=[[TOTAL], [TOTAL]]
)
VERDICTS = {
    "clean": (CLEAN, "clean"),
    "once": (ONCE, "clean"),
    "healed": (HEALED, "healed"),
    "revealed": (REVEALED, "healed"),
    "staying": (STAYING, "needs-a-person"),
}


@pytest.fixture(scope="module")
async def verdicts(servers: DevStack) -> dict[str, str]:
    """Of all runs, side by side: each waits between its looks."""
    async with asyncio.TaskGroup() as tasks:
        runs = {
            name: tasks.create_task(reconcile(servers, told))
            for name, (told, _) in VERDICTS.items()
        }
    return {name: run.result() for name, run in runs.items()}


def states(told: Scripted) -> set[tuple[Difference, str, str]]:
    return {(one.difference, one.state, one.note) for one in told.noted}


@pytest.mark.parametrize("name", VERDICTS)
def test_the_verdict_is_that_of_the_worst_difference(verdicts: dict[str, str], name: str) -> None:
    assert verdicts[name] == VERDICTS[name][1]


@pytest.mark.usefixtures("verdicts")
def test_books_that_agree_are_walked_to_the_end() -> None:
    [end] = CLEAN.ends

    assert (end.counts, end.sequence) == (Counts(orders=30, reports=60), 7)
    assert CLEAN.asked == []


@pytest.mark.usefixtures("verdicts")
def test_what_is_seen_once_is_no_difference() -> None:
    assert ONCE.asked == [["o-1", "o-2"]]
    assert ONCE.healed == []
    assert ONCE.noted == []


@pytest.mark.usefixtures("verdicts")
def test_what_is_gone_after_healing_is_healed() -> None:
    assert HEALED.healed == [[FILL]]
    assert states(HEALED) == {(FILL, "healed", "did tell")}


@pytest.mark.usefixtures("verdicts")
def test_what_healing_brings_to_light_is_healed_too() -> None:
    assert REVEALED.healed == [[FILL], [FILL], [ENDED]]
    assert states(REVEALED) == {
        (FILL, "healed", "did tell"),
        (ENDED, "healed", "did cancel-here"),
    }


@pytest.mark.usefixtures("verdicts")
def test_what_stays_waits_for_a_person_and_so_does_what_has_no_remedy() -> None:
    [end] = STAYING.ends

    assert STAYING.healed == [[FILL]] * 3
    assert states(STAYING) == {
        (FILL, "needs-a-person", "did tell"),
        (PRICE, "needs-a-person", ""),
        (TOTAL, "needs-a-person", ""),
    }
    assert (end.counts.healed, end.counts.waiting) == (0, 3)
