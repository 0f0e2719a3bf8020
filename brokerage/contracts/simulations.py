"""What a developer may have the simulated exchange do to one order, by name.

Each is a plan in the words of the exchange's control panel (docs/exchange.md), and what a client
sees of it. The table is data: the API lists it, the gateway sends from it, the documentation and
the tests that watch each one happen are held against it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Plan = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Simulation:
    """What happens, and the statuses that the order goes through, as its stream tells them.

    `path` may have `submitted?`: a fill may overtake the exchange's answer. `is_cancelled`: the
    client's part is to cancel the order once it is `submitted` or `partially_filled`.
    """

    happens: str
    seen: str
    path: str
    plan: Plan = field(default_factory=dict)
    is_cancelled: bool = False


@dataclass(frozen=True, slots=True)
class SimulateRequest:
    """Plan this for the order, before it is placed. A repeat changes nothing."""

    order_id: str
    name: str


@dataclass(frozen=True, slots=True)
class SimulateReply:
    """`planned`; `unsupported`: that exchange takes no plans; `unknown`: it did not answer."""

    outcome: Literal["planned", "unsupported", "unknown"]
    reason: str = ""


def _strike(route: str, action: str, **terms: object) -> Plan:
    return {"match": {"route": route}, "action": action, **terms}


def _act(do: str, **terms: object) -> Plan:
    return {"do": do, **terms}


FILL: Final = _act("execute")
HALF: Final = _act("execute", part=0.5)

SIMULATIONS: Final[Mapping[str, Simulation]] = {
    "rest": Simulation(
        "It is accepted and never trades.",
        "201.",
        "pending, submitted",
    ),
    "fill": Simulation(
        "It is executed at once and whole.",
        "201, then one fill.",
        "pending, submitted?, filled",
        {"acts": [FILL]},
    ),
    "partial": Simulation(
        "Half of it is executed at once, the rest never.",
        "201, then one fill.",
        "pending, submitted?, partially_filled",
        {"acts": [HALF]},
    ),
    "slow": Simulation(
        "Half of it is executed after 1 s, the rest after 2 s.",
        "201, then two fills.",
        "pending, submitted?, partially_filled, filled",
        {"acts": [{**HALF, "seconds": 1}, {**FILL, "seconds": 2}]},
    ),
    "reject": Simulation(
        "It is refused.",
        "422 `refused-by-exchange`; `reason` is `refused`.",
        "pending, rejected",
        {"rules": [_strike("place", "refuse")]},
    ),
    "halted": Simulation(
        "It is refused: a halt came first.",
        "422 `refused-by-exchange`; `reason` is `halted`.",
        "pending, rejected",
        {"rules": [_strike("place", "refuse", code="halted", reason="trading is halted")]},
    ),
    "lost-reply": Simulation(
        "It is accepted, and the first answer is lost.",
        "202 or 201; Sherwood finds out by asking.",
        "pending, submitted",
        {"rules": [_strike("place", "accept-then-drop", times=1)]},
    ),
    "hang": Simulation(
        "It is accepted and executed, and there is no answer: the fill overtakes it.",
        "202 or 201 after a second, and one fill.",
        "pending, submitted?, filled",
        {"rules": [_strike("place", "accept-then-hang", seconds=3, times=1)], "acts": [FILL]},
    ),
    "lost": Simulation(
        "Nothing that is sent of it arrives.",
        "202; after 12 s or more it is proved that the exchange never had it, and the money is "
        "free. A repeat with the key then gets 422 `not-placed`.",
        "pending, failed",
        {"rules": [_strike("place", "drop")]},
    ),
    "late-fill": Simulation(
        "It rests; a second after its cancel was confirmed it is executed all the same.",
        "`DELETE` 200, then a fill of an order that had ended.",
        "pending, submitted, pending_cancel, cancelled, filled",
        {"acts": [{**FILL, "on": "cancelled", "seconds": 1}]},
        is_cancelled=True,
    ),
    "too-late": Simulation(
        "It rests; the cancel finds it executed.",
        "`DELETE` 409 `too-late-to-cancel`, or 202 and then the fill.",
        "pending, submitted, pending_cancel, filled",
        {"acts": [{**FILL, "on": "cancel"}]},
        is_cancelled=True,
    ),
    "slow-cancel": Simulation(
        "It rests; when the cancel comes half is executed, and the cancel is lost three times.",
        "`DELETE` 202 or 200, a fill while the cancel is pending, then the end with half.",
        "pending, submitted, pending_cancel, cancelled",
        {
            "rules": [_strike("cancel", "drop", times=3)],
            "acts": [{**HALF, "on": "cancel"}],
        },
        is_cancelled=True,
    ),
    "refuse-cancel": Simulation(
        "Half of it is executed at once; the first cancel is refused, the next one works.",
        "`DELETE` 409 `cancel-refused`, or 202 and then the refusal; the order is live again.",
        "pending, submitted?, partially_filled, pending_cancel, partially_filled",
        {"rules": [_strike("cancel", "refuse", times=1)], "acts": [HALF]},
        is_cancelled=True,
    ),
    "expire": Simulation(
        "It expires after 1 s, as at the end of the day.",
        "201, then its end.",
        "pending, submitted?, expired",
        {"acts": [_act("expire", seconds=1)]},
    ),
    "unsolicited-cancel": Simulation(
        "The exchange cancels it after 1 s; nobody asked for that.",
        "201, then its end.",
        "pending, submitted?, cancelled",
        {"acts": [_act("cancel", seconds=1)]},
    ),
    "bust": Simulation(
        "It is executed at once; 1 s later the execution is declared never to have happened.",
        "201, a fill, a bust: `filledShares` is 0 again, the money is back, the status stays.",
        "pending, submitted?, filled",
        {"acts": [FILL, _act("bust", seconds=1)]},
    ),
    "correct": Simulation(
        "It is executed at once; 1 s later the price is corrected by a cent a share, for you.",
        "201, a fill, a correction: `filledNotionalInCents` changes, and your cash.",
        "pending, submitted?, filled",
        {"acts": [FILL, _act("correct", seconds=1)]},
    ),
}
"""In the order in which the documentation tells them."""
