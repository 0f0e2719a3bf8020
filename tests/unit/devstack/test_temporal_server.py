"""What docs/decisions/0007 says of Temporal's settings is what it is started with."""

from itertools import pairwise
from pathlib import Path

import pytest

from devstack.home import Home
from devstack.plan import Plan
from devstack.services import all_names
from devstack.settings import own_servers
from devstack.temporal_server import temporal_spec
from workflows.labels import SEARCH_ATTRIBUTES

OURS = [name for name in all_names(2) if name not in ("postgres", "nats", "temporal")]


@pytest.fixture
async def options(tmp_path: Path) -> list[tuple[str, str]]:
    """Each word of the command line with the one after it."""
    binary = tmp_path / "temporal-command"
    binary.touch(mode=0o755)
    settings = own_servers().model_copy(update={"temporal_bin": binary})
    spec = temporal_spec(settings, Home(tmp_path), port=7233, ui_port=8233)
    command = await spec.prepare(lambda text: None)
    assert command[:3] == (str(binary), "server", "start-dev")
    return list(pairwise(command))


@pytest.mark.parametrize(
    "setting",
    [
        "history.transferProcessorMaxPollRPS=1000",
        "matching.numTaskqueueReadPartitions=1",
        "matching.numTaskqueueWritePartitions=1",
    ],
)
def test_history_is_loaded_quickly_and_a_task_queue_is_one_partition(
    options: list[tuple[str, str]], setting: str
) -> None:
    assert ("--dynamic-config-value", setting) in options


def test_only_the_transfer_queue_is_loaded_more_often(options: list[tuple[str, str]]) -> None:
    paces = [value for _, value in options if "ProcessorMaxPollRPS" in value]

    assert {value.partition("=")[0] for value in paces} == {"history.transferProcessorMaxPollRPS"}


def test_sqlite_keeps_a_write_ahead_log(options: list[tuple[str, str]]) -> None:
    pragmas = {value for name, value in options if name == "--sqlite-pragma"}

    assert pragmas == {"journal_mode=wal", "synchronous=normal"}


def test_orders_can_be_searched_by_what_their_runs_carry(options: list[tuple[str, str]]) -> None:
    attributes = {value for name, value in options if name == "--search-attribute"}

    assert attributes == {f"{key.name}=Keyword" for key in SEARCH_ATTRIBUTES}


def test_temporals_heap_may_grow_before_it_is_collected(tmp_path: Path) -> None:
    spec = temporal_spec(own_servers(), Home(tmp_path), port=7233, ui_port=8233)

    assert spec.environment["GOGC"] == "400"


@pytest.mark.parametrize("name", OURS)
def test_each_process_of_ours_has_one_network_thread(tmp_path: Path, name: str) -> None:
    plan = Plan(own_servers(), Home(tmp_path), all_names(2))
    ports = {name: 20_000 + number for number, name in enumerate(plan.port_names())}

    specs = {spec.name: spec for spec in plan.specs(ports)}

    assert specs[name].environment["TOKIO_WORKER_THREADS"] == "1"
