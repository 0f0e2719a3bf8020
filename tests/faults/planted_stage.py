"""A stack with bugs in it, on which their scenes are played side by side, with them and without."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from sys import executable
from typing import Final
from uuid import uuid4

import httpx

from devstack.process import ProcessSpec, fixed
from devstack.services import kind_of
from devstack.stack import DevStack
from tests.checker.evidence import gather, look
from tests.checker.history import History, RecordingClient
from tests.checker.invariants import check
from tests.checker.progress import stuck
from tests.checker.quiet import AWAY
from tests.checker.violations import Violation
from tests.faults.planted_bugs import symbols_of
from tests.faults.planted_scenes import Scene
from tests.faults.planting import Bug
from tests.support.accounts import fetch_token
from tests.support.eventually import eventually
from tests.support.exchange_rules import exchange_of

PLAYED_AT_ONCE: Final = 8
QUIET_SECONDS: Final = 120.0


@dataclass(frozen=True)
class Verdict:
    """What the checker says of a scene with the bug, and of the same one without."""

    planted: Sequence[Violation]
    sound: Sequence[Violation]

    @property
    def named(self) -> set[str]:
        """The invariants that the bug was seen to break."""
        return {violation.invariant for violation in self.planted}


class Stage:
    """What the scenes of one stack share."""

    def __init__(
        self, stack: DevStack, exchange: httpx.AsyncClient, clients: AsyncExitStack
    ) -> None:
        self._stack = stack
        self._exchange = exchange
        self._clients = clients
        self._history = History()
        self._whole_calls = asyncio.Lock()
        self._places = asyncio.Semaphore(PLAYED_AT_ONCE)

    async def perform(self, bugs: Sequence[Bug]) -> dict[Bug, Verdict]:
        """Play the scene of each bug twice, wait until they rest, and judge all."""
        scenes = {bug: [self._scene(symbol) for symbol in symbols_of(bug)] for bug in bugs}
        async with asyncio.TaskGroup() as tasks:
            for bug, both in scenes.items():
                for scene in both:
                    tasks.create_task(self._perform(bug, scene))
        await self._quiet(scenes)
        evidence = await gather(self._stack, self._history)
        return {
            bug: Verdict(*(check(evidence.about(*scene.users)) for scene in both))
            for bug, both in scenes.items()
        }

    async def _perform(self, bug: Bug, scene: Scene) -> None:
        async with self._places:
            await bug.scene(scene)

    def _scene(self, symbol: str) -> Scene:
        return Scene(symbol, self._exchange, self._history, self._open_account, self._whole_calls)

    async def _open_account(self, symbol: str) -> tuple[str, RecordingClient]:
        user = f"user-{symbol}-{uuid4().hex[:12]}"
        token = await fetch_token(self._stack.api_url, user)
        http = await self._clients.enter_async_context(
            httpx.AsyncClient(
                base_url=self._stack.api_url,
                headers={"Authorization": f"Bearer {token}"},
                trust_env=False,
                timeout=10,
            )
        )
        return user, self._history.client(http, user)

    async def _quiet(self, scenes: Mapping[Bug, Sequence[Scene]]) -> None:
        """Return once nothing is in the streams, and nothing under way but what a bug keeps so."""

        async def is_quiet() -> None:
            try:
                found = await look(self._stack, self._history)
            except AWAY as error:
                raise AssertionError(repr(error)) from error
            assert found.streams.pending + found.streams.unacknowledged == 0
            left = [
                str(one)
                for bug, (planted, sound) in scenes.items()
                for scene, kept in ((planted, bug.breaks.split()), (sound, []))
                for one in stuck(found.about(*scene.users))
                if one.invariant not in kept
            ]
            assert left == [], left

        await eventually(is_quiet, "it is quiet", QUIET_SECONDS)


async def play(bugs: Sequence[Bug], notes: Path) -> dict[Bug, Verdict]:
    """What the checker says of each; `notes` is where faults note that they struck."""

    def plant(spec: ProcessSpec) -> ProcessSpec:
        kind = kind_of(spec.name)
        names = [str(bug) for bug in bugs if bug.kind == kind]
        if not names:
            return spec
        command = (executable, "-m", "tests.faults.planted_process", kind, str(notes), *names)
        return replace(spec, prepare=fixed(*command))

    async with (
        DevStack.temporary(alter=plant) as stack,
        exchange_of(stack) as exchange,
        AsyncExitStack() as clients,
    ):
        await stack.wait_ready()
        return await Stage(stack, exchange, clients).perform(bugs)
