import asyncio
import shutil
import sys
import time
from dataclasses import replace
from datetime import time as time_of_day
from pathlib import Path

import pytest

from devstack.errors import StackError
from devstack.process import ProcessSpec, Report, State, fixed
from devstack.settings import StackSettings
from devstack.stack import DevStack
from exchange.calendar import last_day_end_ms


def stack_with(
    home: Path, *, only: tuple[str, ...] = (), without: tuple[str, ...] = ()
) -> DevStack:
    return DevStack(StackSettings(home=home), workers=2, only=only, without=without)


def test_servers_is_a_name_for_all_three(tmp_path: Path) -> None:
    stack = stack_with(tmp_path, only=("servers",))

    assert stack.names == ("postgres", "nats", "temporal")


def test_what_is_left_out_is_left_out(tmp_path: Path) -> None:
    stack = stack_with(tmp_path, without=("orders", "api"))

    assert not {"orders-1", "orders-2", "api"} & set(stack.names)
    assert "gateway" in stack.names


def test_the_name_of_a_numbered_kind_is_a_name_for_all_of_it(tmp_path: Path) -> None:
    stack = stack_with(tmp_path, only=("feed", "orders"), without=("feed-2",))

    assert stack.names == ("feed-1", "orders-1", "orders-2")


def test_several_api_nodes_have_a_port_and_an_address_each(tmp_path: Path) -> None:
    stack = DevStack(StackSettings(home=tmp_path), apis=2, only=("api",))
    stack.ports = {"api": 20_001, "api-2": 20_002}

    told = {spec.name: spec.environment["SHERWOOD_API_PORT"] for spec in stack.specs()}

    assert told == {"api": "20001", "api-2": "20002"}
    assert stack.api_urls == ["http://127.0.0.1:20001", "http://127.0.0.1:20002"]
    assert stack.api_urls[0] == stack.api_url


def test_no_day_of_the_exchange_ends_while_a_temporary_stack_lives() -> None:
    stack = DevStack.temporary(only=("exchange",))
    stack.ports = {"exchange": 20_001}

    [spec] = stack.specs()

    shutil.rmtree(stack.home.root)
    day_end = time_of_day.fromisoformat(spec.environment["EXCHANGE_DAY_END"])
    now_ms = int(time.time() * 1000)
    assert 10 < (now_ms - last_day_end_ms(now_ms, day_end)) / 3_600_000 < 14


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"'databse'.*postgres"):
        stack_with(tmp_path, only=("databse",))


class SleepingStack(DevStack):
    """A stack of children that do nothing, so that only the order of things is left."""

    def specs(self) -> list[ProcessSpec]:
        needs = {"postgres": frozenset[str](), "api": frozenset({"postgres"})}
        return [
            ProcessSpec(
                name=name,
                prepare=fixed(sys.executable, "-c", "import time; time.sleep(600)"),
                environment={},
                folder=self.home.root,
                probe=always,
                needs=needed,
            )
            for name, needed in needs.items()
        ]


async def always() -> bool:
    return True


async def test_starts_in_the_order_of_needs_and_stops_in_the_reverse(tmp_path: Path) -> None:
    events: list[str] = []
    settings = StackSettings(home=tmp_path)

    async with SleepingStack(settings, auto_ports=True, on_event=events.append) as stack:
        await stack.processes["api"].was_ready.wait()

    assert events.index("postgres: ready") < events.index("api: preparing")
    assert events.index("api: stopped") < events.index("postgres: stopping")
    assert stack.home.read_state()["phase"] == "stopped"


async def test_state_tells_the_env_the_ports_and_each_process(tmp_path: Path) -> None:
    settings = StackSettings(home=tmp_path, nats_url="nats://elsewhere:4222")

    async with SleepingStack(settings, auto_ports=True) as stack:
        await stack.processes["api"].was_ready.wait()
        state = stack.home.read_state()

    assert state["env"]["SHERWOOD_NATS_URL"] == "nats://elsewhere:4222"
    assert state["env"]["SHERWOOD_API_PORT"] == str(state["ports"]["api"])
    assert "SHERWOOD_TOKEN_SECRET" not in state["env"]
    assert [row["state"] for row in state["processes"]] == ["ready", "ready"]
    assert all(row["pid"] for row in state["processes"])


async def test_starting_what_runs_leaves_it_as_it_is(tmp_path: Path) -> None:
    async with SleepingStack(StackSettings(home=tmp_path), auto_ports=True) as stack:
        api = stack.processes["api"]
        await api.was_ready.wait()
        pid = api.pid

        async with asyncio.timeout(60):
            await stack.start("api")

        assert (api.pid, api.state) == (pid, State.READY)


async def test_starting_again_what_cannot_be_prepared_any_more_says_why(tmp_path: Path) -> None:
    class Breaking(SleepingStack):
        prepared = 0

        def specs(self) -> list[ProcessSpec]:
            return [replace(spec, prepare=self.prepare) for spec in super().specs()]

        async def prepare(self, report: Report) -> tuple[str, ...]:
            self.prepared += 1
            if self.prepared > 2:
                raise OSError("no space left")
            return (sys.executable, "-c", "import time; time.sleep(600)")

    async with Breaking(StackSettings(home=tmp_path), auto_ports=True) as stack:
        await stack.processes["api"].was_ready.wait()
        await stack.stop("api")

        async with asyncio.timeout(60):
            with pytest.raises(StackError, match="api: failed no space left"):
                await stack.start("api")


async def test_preparation_that_fails_fails_the_stack(tmp_path: Path) -> None:
    class Broken(SleepingStack):
        def specs(self) -> list[ProcessSpec]:
            return [replace(spec, prepare=no_disk) for spec in super().specs()]

    async def no_disk(report: Report) -> tuple[str, ...]:
        raise OSError("no space left")

    async with Broken(StackSettings(home=tmp_path), auto_ports=True) as stack:
        with pytest.raises(StackError, match="postgres: no space left"):
            await stack.wait_ready()
