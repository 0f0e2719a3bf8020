"""`python -m tests.faults.crash_process KIND FOLDER`: a process of ours that can be crashed at
every point of the catalogue.

It is the real process: the real module runs, after the calls at which it may be struck were
wrapped. A call that is not there any more ends the process before it begins.
"""

import functools
import importlib
import inspect
import os
import runpy
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from temporalio import activity

from devstack.services import MODULES
from tests.faults.crash_arming import Arsenal
from tests.faults.crash_catalogue import POINTS
from tests.faults.crash_points import Action, Point, When

BODY_SENT = "http11.send_request_body.complete"
"""What httpx's transport says when the last byte of a request has left."""


class Striker:
    """Strikes the calls of one process for which a fault is armed."""

    def __init__(self, arsenal: Arsenal, points: Sequence[Point]) -> None:
        self._arsenal = arsenal
        self._points = points

    def at(self, when: When, call: object) -> None:
        """Crash here if a fault waits for this call: what names it, is in its arguments."""
        for fault in self._arsenal.armed():
            for point in self._points:
                if (point.name, point.when) != (fault.point, when) or not _within(point):
                    continue
                told = repr(call)
                if any(name in told for name in fault.names) and fault.fire(os.getpid()):
                    crash(point, fault.action)


def crash(point: Point, action: Action) -> None:
    """Die, freeze until somebody thaws the process, or raise."""
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "hang":
        os.kill(os.getpid(), signal.SIGSTOP)
    else:
        raise point.error()


def _within(point: Point) -> bool:
    wanted = point.seam.within
    return not wanted or (activity.in_activity() and activity.info().activity_type == wanted)


def wrap(original: Callable[..., Any], striker: Striker) -> Callable[..., Any]:
    """The same function, with a place to crash on either side of it."""
    if inspect.isasyncgenfunction(inspect.unwrap(original)):

        @asynccontextmanager
        async def block(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            striker.at("before", (args, kwargs))
            async with original(*args, **kwargs) as inner:
                yield inner
                striker.at("inside", (args, kwargs))
            striker.at("after", (args, kwargs))

        return block
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            striker.at("before", (args, kwargs))
            answer = await original(*args, **kwargs)
            striker.at("after", (args, kwargs))
            return answer

        return coroutine

    @functools.wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        striker.at("before", (args, kwargs))
        answer = original(*args, **kwargs)
        striker.at("after", (args, kwargs))
        return answer

    return function


def wrap_wire(original: Callable[..., Any], striker: Striker) -> Callable[..., Any]:
    """The sending of one HTTP request, with a place to crash when it has left unanswered."""

    @functools.wraps(original)
    async def send(line: Any, *args: Any) -> Any:
        async def traced(event: str, info: object) -> None:
            if event == BODY_SENT:
                striker.at("sent", args)

        async def trace(request: Any) -> None:
            request.extensions["trace"] = traced

        # One request at a time has the line.
        line._client.event_hooks = {"request": [trace]}
        return await original(line, *args)

    return send


def place_seams(kind: str, arsenal: Arsenal) -> None:
    """Wrap every call at which a process of this kind may be struck; raises if one is gone."""
    points = sorted(
        (point for point in POINTS if point.process == kind), key=lambda point: point.seam.call
    )
    for call, found in groupby(points, key=lambda point: point.seam.call):
        there = list(found)
        module, _, path = call.partition(":")
        owner: Any = importlib.import_module(module)
        *classes, name = path.split(".")
        for one in classes:
            owner = getattr(owner, one)
        around = wrap_wire if there[0].when == "sent" else wrap
        setattr(owner, name, around(getattr(owner, name), Striker(arsenal, there)))


def main() -> None:
    """Run the process."""
    kind, folder = sys.argv[1:]
    place_seams(kind, Arsenal(Path(folder)))
    module = MODULES[kind]
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
