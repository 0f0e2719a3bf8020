"""docs/retries.md says what the code does: figure by figure, and no pause is missing there."""

import importlib
import re
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import temporalio.common

from activities.exchange import FAST_CALL_SECONDS, SLOW_CALL_SECONDS
from api.cancelling import ALL_SECONDS, ONE_SECONDS
from api.claiming import TURN_SECONDS
from api.order_workflows import PLACED_SECONDS
from brokerage.storage.pool import STATEMENT_TIMEOUT_SECONDS
from client.retry import RetryPolicy
from workflows.policies import FAST_TIMEOUT, WORKFLOW_TASK_TIMEOUT

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "retries.md").read_text()
LINKS: Final = re.findall(r'\[([^\]]+)\]\(\.\./([\w/]+)\.py "([\w.()]+)"\)', PAGE)
PACKAGES: Final = ("api", "activities", "brokerage", "client", "streaming", "workers", "workflows")
WAITING_SECONDS: Final = 30.0
OUTSIDE_SECONDS: Final = 5.0


def value_of(module: str, name: str) -> Any:
    """What a link names: a constant, a part of one, or a default of a class (`Class().field`)."""
    found: Any = importlib.import_module(module.replace("/", "."))
    for part in name.split("."):
        found = getattr(found, part.removesuffix("()"))
        if part.endswith("()"):
            found = found()
    return found


def figures_of(value: Any) -> list[float]:
    """The numbers a constant stands for, seconds where it is a time."""
    if isinstance(value, timedelta):
        return [value.total_seconds()]
    if isinstance(value, int | float):
        return [float(value)]
    if isinstance(value, tuple):
        return [figure for one in value for figure in figures_of(one)]
    if isinstance(value, temporalio.common.RetryPolicy) and value.maximum_interval:
        return figures_of((value.initial_interval, value.maximum_interval))
    return [value.first_seconds, value.max_seconds]


@pytest.mark.parametrize(("shown", "module", "name"), LINKS, ids=[link[2] for link in LINKS])
def test_a_figure_on_the_page_is_the_constant_it_links_to(
    shown: str, module: str, name: str
) -> None:
    assert [float(one) for one in re.findall(r"[\d.]+", shown)] == figures_of(
        value_of(module, name)
    )


def test_every_pause_and_policy_of_the_code_is_on_the_page() -> None:
    in_code = {
        (str(path.relative_to(ROOT).with_suffix("")), name)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for name in re.findall(
            r"^([A-Z]\w*)(?:: \w+)? = (?:Backoff|RetryPolicy)\(", path.read_text(), re.MULTILINE
        )
    }
    on_page = {(module, name.partition(".")[0]) for _, module, name in LINKS}

    assert ("activities/exchange", "UNKNOWN") in in_code
    assert in_code - on_page == set()


def test_the_fast_path_fits_into_its_task_and_each_call_into_its_step() -> None:
    steps = 2
    assert FAST_TIMEOUT.total_seconds() > FAST_CALL_SECONDS
    assert steps * FAST_TIMEOUT <= 0.8 * WORKFLOW_TASK_TIMEOUT


def test_no_call_outside_the_fast_path_takes_more_than_five_seconds() -> None:
    assert max(SLOW_CALL_SECONDS, STATEMENT_TIMEOUT_SECONDS) <= OUTSIDE_SECONDS


def test_every_answer_of_the_api_comes_within_one_attempt_of_our_client() -> None:
    client = RetryPolicy()
    placing = 2 * STATEMENT_TIMEOUT_SECONDS + TURN_SECONDS + PLACED_SECONDS
    cancelling = STATEMENT_TIMEOUT_SECONDS + max(ONE_SECONDS, ALL_SECONDS)

    assert placing + STATEMENT_TIMEOUT_SECONDS <= client.attempt_timeout_seconds
    assert cancelling <= client.attempt_timeout_seconds
    assert client.attempt_timeout_seconds <= client.total_timeout_seconds == WAITING_SECONDS
