"""Our books against the exchange's statement: look, look again, send what is missing, report.

A difference is one that two looks at the order, some seconds apart, both show: what is merely on
its way is seen once. Then what is missing is sent to whom it concerns, and the order is looked at
again; what remains waits for a person.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from temporalio import workflow

from activities.reconciliation import ReconciliationActivities
from brokerage.contracts.reconciliation import (
    Begin,
    Conclusion,
    Found,
    Look,
    Looked,
    Progress,
    StartReconciliation,
    State,
    Verdict,
)
from brokerage.domain.reconciliation import Difference
from workflows import policies

SECOND_LOOK: Final = timedelta(seconds=3)
"""What is on its way arrives meanwhile."""
HEALING: Final = tuple(timedelta(seconds=seconds) for seconds in (1, 2, 4))
"""Pauses between sending what is missing and looking again."""
TOGETHER: Final = 100
"""So many suspects are looked at again together."""


@workflow.defn(name="ReconciliationWorkflow")
class ReconciliationWorkflow:
    """One comparison of everything. It writes nothing but its report."""

    @workflow.run
    async def run(self, start: StartReconciliation) -> Verdict:
        progress = start.progress or await self._begin(start)
        self._run_id, self._counts = progress.run_id, progress.counts
        look, suspects = progress.look, progress.suspects
        while not look.done:
            looked: Looked = await _do(ReconciliationActivities.look_at_orders, look)
            look = looked.next
            suspects = [*suspects, *looked.differences]
            self._counts = replace(
                self._counts,
                orders=self._counts.orders + looked.orders,
                reports=self._counts.reports + looked.reports,
            )
            workflow.set_current_details(f"{self._counts.orders} orders compared")
            if look.done or len(suspects) >= TOGETHER:
                await self._see_to(suspects)
                suspects = []
            if workflow.info().is_continue_as_new_suggested() and not look.done:
                done = Progress(self._run_id, look, self._counts, suspects)
                workflow.continue_as_new(replace(start, progress=done))
        await self._look_at_books(look)
        return await self._conclude(look)

    async def _begin(self, start: StartReconciliation) -> Progress:
        run_id = workflow.info().first_execution_run_id
        begin = Begin(run_id, start.started_by, start.reason)
        look: Look = await _do(ReconciliationActivities.begin_reconciliation, begin)
        return Progress(run_id, look)

    async def _see_to(self, suspects: Sequence[Difference]) -> None:
        """Confirm what the walk saw, heal what can be, and keep both."""
        if not suspects:
            return
        await workflow.sleep(SECOND_LOOK)
        seen = {one.identity for one in suspects}
        again = await self._again(suspects)
        waiting = {one.identity: one for one in again if one.identity in seen}
        found: dict[tuple[str, str, str], Difference] = dict(waiting)
        notes: dict[tuple[str, str, str], str] = {}
        for pause in HEALING:
            ill = [one for one in waiting.values() if one.remedy is not None]
            if not ill:
                break
            said: list[str] = await _do(ReconciliationActivities.heal, ill)
            notes |= {one.identity: note for one, note in zip(ill, said, strict=True)}
            await workflow.sleep(pause)
            again = await self._again(list(found.values()))
            # What healing one thing brings to light is a difference once it is seen twice.
            waiting = {one.identity: one for one in again if one.identity in seen}
            seen |= {one.identity for one in again}
            found |= waiting
        await self._note(
            [
                Found(
                    one,
                    "needs-a-person" if identity in waiting else "healed",
                    notes.get(identity, ""),
                )
                for identity, one in found.items()
            ]
        )

    async def _again(self, differences: Sequence[Difference]) -> list[Difference]:
        order_ids = sorted({one.subject for one in differences})
        again: list[Difference] = await _do(ReconciliationActivities.look_again, order_ids)
        return again

    async def _look_at_books(self, look: Look) -> None:
        """After the orders: what of the whole is still wrong, waits for a person."""
        first: list[Difference] = await _do(ReconciliationActivities.look_at_books, look.sequence)
        if not first:
            return
        await workflow.sleep(SECOND_LOOK)
        again: list[Difference] = await _do(ReconciliationActivities.look_at_books, look.sequence)
        seen = {one.identity for one in first}
        await self._note([Found(one, "needs-a-person") for one in again if one.identity in seen])

    async def _note(self, found: list[Found]) -> None:
        if not found:
            return
        await _do(ReconciliationActivities.note_differences, self._run_id, found)
        self._counts = replace(
            self._counts,
            healed=self._counts.healed + _count(found, "healed"),
            waiting=self._counts.waiting + _count(found, "needs-a-person"),
        )

    async def _conclude(self, look: Look) -> Verdict:
        counts = self._counts
        verdict: Verdict = "clean"
        if counts.waiting:
            verdict = "needs-a-person"
        elif counts.healed:
            verdict = "healed"
        end = Conclusion(self._run_id, look.sequence, counts, verdict)
        await _do(ReconciliationActivities.conclude_reconciliation, end)
        return verdict


def _count(found: Sequence[Found], state: State) -> int:
    return sum(1 for one in found if one.state == state)


async def _do(activity: Any, *arguments: Any) -> Any:
    """Retried without limit: an exchange or a Postgres that is away makes a run late, not wrong."""
    return await workflow.execute_activity_method(
        activity,
        args=arguments,
        start_to_close_timeout=policies.LOOK_TIMEOUT,
        heartbeat_timeout=policies.LOOK_HEARTBEAT,
        retry_policy=policies.UNTIL_DONE,
    )
