"""docs/crash-points.md: all crash points."""

from collections.abc import Iterator, Sequence
from typing import Final

from tests.faults.crash_cancelling import CANCELLING
from tests.faults.crash_filling import FILLING
from tests.faults.crash_placing import PLACING
from tests.faults.crash_points import HANG_SECONDS, Point

INTRODUCTION: Final = """\
# Crash points

Where a process can be lost on an order's way, step by step: before and after everything that is
seen outside of it. At each point a process of the real stack is killed (`SIGKILL`), fails with an
error, and freezes ({freezes}) while it works on one order.
The client repeats what was not answered, as clients do. Then everything comes to rest, and
[every invariant](invariants.md) is computed from our tables and the exchange's own record: nothing
lost, nothing doubled, nothing sent too late.

```console
$ make test-faults               # all of it, and a table of the results
$ .venv/bin/pytest tests/faults/test_crash_filling.py --every-crash-point -k settle-written
```

`make test` runs a dozen of them at once (`tests/faults/test_crash_sample.py`). The mechanism is
[decision 25](decisions/0025-processes-crash-at-named-calls.md). A point is a call of a process:
`before` it is made, `inside` its transaction before the commit, `sent` but not answered, `after` it
returned.

Written by `make pages` from the catalogue in `tests/faults/`.
"""
CHAPTERS: Final = {"Placing": PLACING, "Cancelling": CANCELLING, "Filling": FILLING}


def page() -> str:
    """The page, as Markdown."""
    freezes = ", ".join(f"{process} {seconds:g} s" for process, seconds in HANG_SECONDS.items())
    return "\n".join((INTRODUCTION.format(freezes=freezes), *_chapters()))


def _chapters() -> Iterator[str]:
    for title, points in CHAPTERS.items():
        yield f"## {title}\n"
        yield from _table(points)
        yield ""


def _table(points: Sequence[Point]) -> Iterator[str]:
    yield "| Point | Process | Where | On record then | Who goes on | What the client sees |"
    yield "|---|---|---|---|---|---|"
    for point in points:
        where = f"{point.when} `{point.seam.call.partition(':')[2]}`"
        if point.seam.within:
            where += f" in `{point.seam.within}`"
        yield (
            f"| **{point.name}** | {point.process} | {where} | {point.durable} | {point.then} "
            f"| {point.seen} |"
        )
