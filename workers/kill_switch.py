"""`python -m workers.kill_switch`: show or set the kill switch with nothing but NATS.

For when the API or Postgres is away, and for the first level after NATS lost what was set. The act
stays in NATS, and is among the operators' acts as soon as an API can copy it there.
"""

import argparse
import asyncio
import getpass
import json
import socket
import sys
from collections.abc import Sequence
from typing import Final

import msgspec

from brokerage.bus.connection import BusUnavailable, open_bus
from brokerage.bus.kill_switch import (
    SwitchAbsent,
    TooManySwitched,
    new_act,
    read_switch,
    set_switch,
)
from brokerage.contracts.kill_switch import LEVEL_MAX, SwitchAct, Switches
from brokerage.runtime.logs import configure_logs
from brokerage.runtime.settings import Settings

CONNECT_SECONDS: Final = 5.0
ABSENT: Final = "there is no kill switch and no order passes: set everybody's level first"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the state after what was asked; 1 if it could not be done, with the reason."""
    asked = _parser().parse_args(arguments)
    if (asked.scope == "global") != (asked.subject == ""):
        return _failed("--subject names the user or the symbol, and nobody for everybody")
    act = None
    if asked.level is not None:
        if not asked.reason.strip():
            return _failed("a change needs a --reason")
        act = new_act(
            asked.scope,
            asked.subject,
            asked.level,
            operator=asked.operator,
            address=socket.gethostname(),
            reason=asked.reason,
        )
    settings = Settings()
    configure_logs(settings, "kill-switch")  # to standard error: the answer is the output
    try:
        switches = asyncio.run(_carry_out(settings.nats_url, act))
    except (BusUnavailable, OSError) as error:
        return _failed(f"NATS does not answer: {error}")
    except SwitchAbsent:
        return _failed(ABSENT)
    except TooManySwitched:
        return _failed("too many users and symbols are switched: set everybody's level")
    print(json.dumps(msgspec.to_builtins(switches), indent=2))  # noqa: T201 - a command's answer
    return 0


async def _carry_out(nats_url: str, act: SwitchAct | None) -> Switches:
    async with asyncio.timeout(CONNECT_SECONDS), open_bus(nats_url, "kill-switch") as bus:
        return await read_switch(bus) if act is None else await set_switch(bus, act)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workers.kill_switch", description=__doc__)
    parser.add_argument(
        "--level",
        type=int,
        choices=range(LEVEL_MAX + 1),
        help="0 released, 1 no new orders, 2 and cancel all, 3 and hold executions back; "
        "without it the state is shown",
    )
    parser.add_argument("--scope", choices=("global", "user", "symbol"), default="global")
    parser.add_argument("--subject", default="", help="the user or the symbol")
    parser.add_argument("--reason", default="", help="why; kept with the change")
    parser.add_argument("--operator", default=getpass.getuser(), help="who sets it")
    return parser


def _failed(why: str) -> int:
    print(why, file=sys.stderr)  # noqa: T201 - a command's answer
    return 1


if __name__ == "__main__":
    sys.exit(main())
