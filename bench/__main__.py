"""`python -m bench`: every measurement, one after the other."""

import subprocess
import sys
from typing import Final

MEASUREMENTS: Final = ("bench.orders", "bench.prices", "bench.takeover", "bench.kill_switch")


def main() -> int:
    """Run all, each in a process of its own; return the worst exit code."""
    return max(subprocess.call([sys.executable, "-m", name]) for name in MEASUREMENTS)


if __name__ == "__main__":
    sys.exit(main())
