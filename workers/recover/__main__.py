"""`python -m workers.recover temporal | jetstream | postgres`: start again after a loss.

Says what it does and, in numbers, what it did. Exit code 0: all of it; 1: it refused, or something
is left to do, and it says what. Each may be repeated.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from temporalio.service import RPCError

from brokerage.bus.connection import BusUnavailable
from brokerage.runtime.logs import configure_logs
from brokerage.runtime.settings import Settings
from brokerage.storage.pool import DatabaseUnavailable
from workers.recover.jetstream import recover_jetstream
from workers.recover.postgres import recover_postgres
from workers.recover.preconditions import Refused, Tell
from workers.recover.temporal import recover_temporal

LOSSES: Final[Mapping[str, Callable[[Settings, Tell], Coroutine[Any, Any, None]]]] = {
    "temporal": recover_temporal,
    "jetstream": recover_jetstream,
    "postgres": recover_postgres,
}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m workers.recover", description=__doc__)
    parser.add_argument("lost", choices=sorted(LOSSES), help="the store that was lost or restored")
    lost = parser.parse_args().lost
    settings = Settings(log_level="error")
    configure_logs(settings, f"recover-{lost}")
    failures: list[BaseException] = []
    try:
        asyncio.run(LOSSES[lost](settings, _tell))
    except* (Refused, BusUnavailable, DatabaseUnavailable, RPCError) as failed:
        failures += _leaves(failed)
    for failure in failures:
        sys.stderr.write(f"{failure}\n")
    raise SystemExit(1 if failures else 0)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The errors in it, one by one."""
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
