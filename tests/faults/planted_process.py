"""`python -m tests.faults.planted_process KIND NOTES BUG...`: a process of ours with bugs in it.

It is the real process: what it runs is patched, then its real module runs. `NOTES` is the folder in
which faults note that they struck.
"""

import runpy
import sys
from pathlib import Path

from devstack.services import MODULES
from tests.faults.planted_bugs import BUGS, symbols_of
from tests.faults.planting import Where


def main() -> None:
    """Plant, then run."""
    kind, notes, *names = sys.argv[1:]
    for bug in BUGS:
        if bug.kind != kind or str(bug) not in names:
            continue
        if bug.fault is not None:
            bug.fault(Where(frozenset(symbols_of(bug)), Path(notes)))
        bug.plant(Where(frozenset(symbols_of(bug)[:1]), Path(notes)))
    sys.argv = [MODULES[kind]]
    runpy.run_module(MODULES[kind], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
