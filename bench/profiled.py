"""`python -m bench.profiled FILE MODULE`: runs a module under cProfile and keeps what it saw.

Slower by a third or more: it shows where time goes, never how much there is.
"""

import cProfile
import runpy
import sys


def main() -> None:
    """Run the module as if it had been started itself; write FILE when it ends."""
    path, module = sys.argv[1:3]
    sys.argv = sys.argv[2:]
    profile = cProfile.Profile()
    try:
        profile.runcall(runpy.run_module, module, run_name="__main__", alter_sys=True)
    finally:
        profile.dump_stats(path)


if __name__ == "__main__":
    main()
