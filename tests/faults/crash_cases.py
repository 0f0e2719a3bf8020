"""One case of the matrix: one point, one action, one order of a user of its own, and the check."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from sys import executable
from tempfile import TemporaryDirectory
from typing import Final
from uuid import uuid4

import httpx

from devstack.process import ProcessSpec, fixed
from devstack.services import kind_of
from devstack.stack import DevStack
from tests.checker.evidence import gather
from tests.checker.history import History
from tests.checker.invariants import check
from tests.checker.quiet import settle
from tests.faults.crash_arming import Arsenal
from tests.faults.crash_catalogue import BY_NAME
from tests.faults.crash_points import HANG_SECONDS, Action
from tests.faults.crash_stories import DECIDED_SECONDS, STORIES, Life, Missed
from tests.support.accounts import fetch_token
from tests.support.eventually import eventually
from tests.support.exchange_rules import exchange_of

ATTEMPT_SECONDS: Final = 10.0
"""How long a client waits for one answer, as ours does."""
GONE_SECONDS: Final = 30.0
TRIES: Final = 5
"""Orders that may take another way before the point counts as one that nothing comes by."""


@dataclass
class Case:
    """What came of one. `resolved_seconds`: from the fault until the order was where it belongs;
    `held`: all that was promised came true.
    """

    point: str
    action: Action
    fired: bool = False
    resolved_seconds: float | None = None
    violations: list[str] = field(default_factory=list)
    held: bool = False


@dataclass(frozen=True)
class Crashable:
    """A stack whose processes can be struck, and all that clients were told by it.

    `turn` is held from arming a fault until it has fired: cases may be lived side by side.
    """

    stack: DevStack
    arsenal: Arsenal
    history: History
    turn: asyncio.Lock

    async def live(self, case: Case) -> None:
        """Lead a client's life through the fault, until its order is where it belongs and every
        process is back.
        """
        point = BY_NAME[case.point]
        user = f"user-{uuid4().hex[:12]}"
        # Another case may have killed the API just now.
        token = await fetch_token(self.stack.api_url, user, within_seconds=DECIDED_SECONDS)
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            exchange_of(self.stack) as exchange,
            httpx.AsyncClient(
                base_url=self.stack.api_url,
                headers=headers,
                trust_env=False,
                timeout=ATTEMPT_SECONDS,
            ) as http,
            asyncio.TaskGroup() as tasks,
        ):
            client = self.history.client(http, user)
            for _ in range(TRIES):
                life = Life(
                    *(self.stack, self.arsenal, self.turn, tasks, exchange, client, user),
                    *(point, case.action),
                )
                try:
                    await STORIES[point.story](life)
                except Missed:
                    continue
                finally:
                    case.fired = life.fired is not None
                break
            assert life.fired is not None, f"{TRIES} orders did not come by {point.name}"
            case.resolved_seconds = time.monotonic() - life.fired.at
        if case.action == "kill":
            # It says that it strikes before it dies, and its supervisor hears of that later still.
            pid = life.fired.pid
            await eventually(
                lambda: pid not in {row["pid"] for row in self.stack.rows()},
                f"{pid} is gone",
                GONE_SECONDS,
            )
        await self.stack.wait_ready()
        case.held = True

    async def check(self) -> list[str]:
        """What does not hold once everything has come to rest."""
        stuck = await settle(self.stack)
        found = check(await gather(self.stack, self.history))
        return [str(violation) for violation in dict.fromkeys([*stuck, *found])]

    async def run(self, case: Case) -> None:
        """Live through the fault, and see that every invariant holds afterwards."""
        await self.live(case)
        case.held = False
        case.violations = await self.check()
        assert case.violations == []
        case.held = True


@asynccontextmanager
async def crashable_stack() -> AsyncIterator[Crashable]:
    """Everything, with two order workers: while one is away there is another."""
    with TemporaryDirectory(prefix="sherwood-crash-") as folder:
        arsenal = Arsenal(Path(folder))

        def alter(spec: ProcessSpec) -> ProcessSpec:
            kind = kind_of(spec.name)
            if kind not in HANG_SECONDS:
                return spec
            program = ("-m", "tests.faults.crash_process", kind, folder)
            return replace(spec, prepare=fixed(executable, *program))

        async with DevStack.temporary(workers=2, alter=alter) as stack:
            await stack.wait_ready()
            yield Crashable(stack, arsenal, History(), asyncio.Lock())
