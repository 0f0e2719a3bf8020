"""The README's first screen is true: its commands print what it says, but for names and numbers."""

import asyncio
import re
import shutil
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from devstack.spawn import kill_session
from devstack.stack import DevStack
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[2]
SCRIPT_SECONDS = 60.0
PATIENCE_SECONDS = 240.0
TRANSCRIPT = re.compile(r"```console\n(.*?)```", re.DOTALL)
# What differs from run to run: ids, the exchange's names, prices, sizes, times.
VARIES = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{10}\.[0-9a-f]{24}"
    r"|X[0-9A-F]+-|\d[\d.,:TZ-]*"
)


def steps() -> list[tuple[str, str]]:
    """Each command of the transcript with what stands below it."""
    found = TRANSCRIPT.search((ROOT / "README.md").read_text())
    assert found is not None
    parts = re.split(r"^\$ ", found[1], flags=re.MULTILINE)
    return [
        (command, output) for command, _, output in (part.partition("\n") for part in parts[1:])
    ]


def shape(text: str) -> list[str]:
    """The lines with what varies taken out, and columns one space apart."""
    return [" ".join(VARIES.sub("#", line).split()) for line in text.strip().splitlines()]


async def run_in_shell(script: str, stack: DevStack) -> str:
    """What the script prints; fails with what it complains of."""
    bash = shutil.which("bash")
    assert bash is not None
    process = await asyncio.create_subprocess_exec(
        bash,
        *("-c", script),
        cwd=ROOT,
        env={
            "SHERWOOD_API_URL": stack.api_url,
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(SCRIPT_SECONDS):
            output, errors = await process.communicate()
    except TimeoutError as error:
        raise AssertionError(f"not done after {SCRIPT_SECONDS:g} s: {script}") from error
    finally:
        await kill_session(process)
    assert not errors, errors.decode()
    return output.decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the transcript uses curl")
async def test_the_transcript_is_what_the_commands_print(stack: DevStack) -> None:
    address = stack.api_url.removeprefix("http://")
    so_far = ""
    user = ""
    compared = 0

    for command, output in steps():
        told = command.replace("localhost:8000", address)
        if not output:
            so_far += f"{told}\n"
            continue

        async def prints_the_same(
            script: str = so_far + told, expected: str = output, known: str = user
        ) -> str:
            # Somebody else each time, up to an order that was answered at once: to one that was
            # not, the answer is another for good. It is filled a moment after that.
            by = known or f"readme-{uuid4().hex[:8]}"
            printed = await run_in_shell(script.replace("token alice", f"token {by}"), stack)
            assert shape(printed) == shape(expected)
            return by

        user = await eventually(prints_the_same, f"{command} prints what it says", PATIENCE_SECONDS)
        compared += 1

    assert compared == 3
