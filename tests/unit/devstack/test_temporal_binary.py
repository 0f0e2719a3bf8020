import asyncio
from pathlib import Path

import pytest

from devstack.errors import StackError
from devstack.filelock import file_lock
from devstack.go_build import build_temporal
from devstack.settings import StackSettings
from devstack.temporal_binary import VERSION, find_temporal
from tests.support.eventually import eventually


def command(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def settings(tmp_path: Path, named: Path | None = None) -> StackSettings:
    return StackSettings().model_copy(
        update={
            "cache": tmp_path / "cache",
            "search_path": str(tmp_path / "path"),
            "temporal_bin": named,
        }
    )


def silent(text: str) -> None:
    """Take a report and say nothing."""


async def test_the_named_binary_comes_first(tmp_path: Path) -> None:
    named = command(tmp_path / "mine", "anything")
    command(tmp_path / "path" / "temporal", "temporal version 1.8.2 (Server 1.31.2, UI 2)")

    assert await find_temporal(settings(tmp_path, named), silent) == named


async def test_a_named_binary_that_cannot_run_is_an_error_not_a_reason_to_look_on(
    tmp_path: Path,
) -> None:
    with pytest.raises(StackError, match="SHERWOOD_TEMPORAL_BIN"):
        await find_temporal(settings(tmp_path, tmp_path / "missing"), silent)


async def test_a_recent_one_on_path_comes_before_the_cache(tmp_path: Path) -> None:
    found = command(tmp_path / "path" / "temporal", "temporal version 1.8.2 (Server 1.31.2, UI 2)")
    command(tmp_path / "cache" / f"temporal-{VERSION}", "cached")

    assert await find_temporal(settings(tmp_path), silent) == found


async def test_an_old_one_on_path_is_passed_over(tmp_path: Path) -> None:
    command(tmp_path / "path" / "temporal", "temporal version 1.3.0 (Server 1.27.1, UI 2.36.0)")
    cached = command(tmp_path / "cache" / f"temporal-{VERSION}", "cached")

    assert await find_temporal(settings(tmp_path), silent) == cached


async def test_go_is_looked_for_where_the_settings_say(tmp_path: Path) -> None:
    command(tmp_path / "path" / "go", "").write_text(FAKE_GO)

    built = await build_temporal(VERSION, settings(tmp_path), tmp_path, silent)

    assert built.exists()


FAKE_GO = """#!/bin/sh
case $1 in
env) echo go1.99.0 ;;
build) while [ "$1" != -o ]; do shift; done; echo built > "$2" ;;
esac
"""


async def test_who_comes_second_waits_for_the_first_and_takes_its_binary(tmp_path: Path) -> None:
    cached = tmp_path / "cache" / f"temporal-{VERSION}"
    said: list[str] = []
    async with asyncio.TaskGroup() as tasks, file_lock(cached.with_name(f"{cached.name}.lock")):
        second = tasks.create_task(find_temporal(settings(tmp_path), said.append))
        await eventually(lambda: any("waiting for it" in text for text in said))
        command(cached, "made by the first")

    assert second.result() == cached
