"""What a crash point is: a place before, inside or after a call that a running process makes.

The points are in `crash_placing`, `crash_cancelling` and `crash_filling`; what is said of them
there is what `docs/crash-points.md` shows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import httpx
from nats.errors import ConnectionClosedError
from temporalio.service import RPCError, RPCStatusCode

from brokerage.bus.connection import BusUnavailable
from brokerage.storage.pool import DatabaseUnavailable

Action = Literal["kill", "error", "hang"]
When = Literal["before", "inside", "sent", "after"]

ACTIONS: Final[tuple[Action, ...]] = ("kill", "error", "hang")
HANG_SECONDS: Final = {"api": 5.0, "gateway": 12.0, "orders": 12.0, "executions": 12.0, "feed": 6.0}
"""Longer than what guards the process: a client's patience with a node; `send_by` and an attempt of
an activity, ten seconds both; JetStream's wait for an acknowledgement, ten too; the feed's lease
and the silence after which orders are refused.
"""


class Unforeseen(Exception):
    """An error that nobody at the point expects."""


def unforeseen() -> Exception:
    return Unforeseen("crash point")


def database() -> Exception:
    return DatabaseUnavailable("crash point")


def connection() -> Exception:
    return ConnectionResetError("crash point")


def bus() -> Exception:
    return BusUnavailable("crash point")


def driver() -> Exception:
    return ConnectionClosedError()


def temporal() -> Exception:
    return RPCError("crash point", RPCStatusCode.UNAVAILABLE, b"")


def http() -> Exception:
    return httpx.ReadError("crash point")


@dataclass(frozen=True, slots=True)
class Seam:
    """A call of the processes of one kind: `module:Class.method` or `module:function`.

    `within` names the activity it must be made in, where several make it.
    """

    process: str
    call: str
    within: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """One place to crash, and how life goes on.

    `story` is what a client does that leads there. `durable`, `then` and `seen` say what is on
    record, who goes on, what the client sees.
    """

    name: str
    seam: Seam
    when: When
    error: Callable[[], Exception]
    story: str
    durable: str
    then: str
    seen: str

    @property
    def process(self) -> str:
        """The kind of process that is struck."""
        return self.seam.process


WIRE: Final = Seam("gateway", "brokerage.gateway.exchange:_Line._send")


def transaction(activity: str) -> Seam:
    """The one transaction of an activity."""
    return Seam("orders", "brokerage.storage.writes:OrderWriter.transaction", activity)


def gateway(question: str, activity: str) -> Seam:
    """What an activity asks the gateway."""
    return Seam("orders", f"brokerage.gateway.client:GatewayClient.{question}", activity)


ANOTHER_WORKER: Final = "the workflow task runs again, after 4 s, in another worker"
ATTEMPT_AGAIN: Final = "Temporal repeats the activity, a lost worker's after 10 s"
LATER_201: Final = "`202` or `503`, then `201` to the repeat"
