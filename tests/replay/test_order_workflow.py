"""Orders that are open while new code is deployed go on: the recorded histories still replay.

The sandboxed runner is part of the test: it refuses workflow code that reads the clock or chance.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.worker import Interceptor, Replayer, WorkflowReplayResult, WorkflowRunner
from temporalio.workflow import NondeterminismError

from tests.replay.stories import STORIES, name_of
from tests.support.changed_workflow import ChangedOrderWorkflow
from tests.support.newer_release import NewerOrderWorkflow
from workers.sandbox import production_runner, replay_runner
from workflows.converter import DATA_CONVERTER
from workflows.order import OrderWorkflow

FILES: Final = sorted((Path(__file__).parent / "histories" / "OrderWorkflow").glob("*.json"))


def history_of(file: Path) -> WorkflowHistory:
    """A recorded history."""
    return WorkflowHistory.from_json(f"order-{file.stem}", file.read_text())


async def replay(
    workflow: type[OrderWorkflow],
    file: Path,
    runner: WorkflowRunner,
    interceptors: Sequence[Interceptor] = (),
) -> WorkflowReplayResult:
    """Have this code live a recorded history again."""
    replayer = Replayer(
        workflows=[workflow],
        workflow_runner=runner,
        data_converter=DATA_CONVERTER,
        interceptors=interceptors,
        # The sandbox stays; a machine that stands still for two seconds is no deadlock.
        debug_mode=True,
    )
    return await replayer.replay_workflow(history_of(file))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_a_recorded_order_replays(file: Path) -> None:
    result = await replay(OrderWorkflow, file, replay_runner())

    assert result.replay_failure is None


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_an_order_from_before_tracing_was_switched_on_replays(file: Path) -> None:
    result = await replay(OrderWorkflow, file, production_runner(), [TracingInterceptor()])

    assert result.replay_failure is None


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_a_changed_workflow_does_not_replay(file: Path) -> None:
    with pytest.raises(NondeterminismError):
        await replay(ChangedOrderWorkflow, file, production_runner())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_the_same_change_behind_a_patch_replays(file: Path) -> None:
    result = await replay(NewerOrderWorkflow, file, production_runner())

    assert result.replay_failure is None


def test_every_story_is_recorded() -> None:
    assert {file.stem for file in FILES} == {name_of(tell) for tell in STORIES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_history_tells_nothing_of_the_machine_it_was_recorded_on(file: Path) -> None:
    text = file.read_text()

    assert "stackTrace" not in text
    assert set(re.findall(r'"identity": "([^"]*)"', text)) == {"recorder"}
