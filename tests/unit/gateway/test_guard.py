"""The kill switch at the gateway: what it forbids, and what it has cancelled."""

from dataclasses import dataclass

import pytest

from brokerage.contracts.gateway import PlaceRequest
from brokerage.contracts.ids import account_ref_for
from brokerage.contracts.kill_switch import Scope, SwitchAct, Switches
from brokerage.gateway.guard import Guard
from brokerage.gateway.mass_cancel import Target, targets


@dataclass
class Known:
    switches: Switches | None


def act(scope: Scope, subject: str, level: int) -> SwitchAct:
    return SwitchAct("1", 0, "olivia", "", "a test", scope, subject, level)


OPEN = Switches(act("global", "", 0))


def placement(user: str = "alice", symbol: str = "META") -> PlaceRequest:
    return PlaceRequest("o1", account_ref_for(user), symbol, "buy", 52_210, 1, "day", 2_000)


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize(
    ("scope", "subject"), [("global", ""), ("user", "alice"), ("symbol", "META")]
)
def test_every_level_stops_the_orders_of_its_scope_and_no_others(
    level: int, scope: Scope, subject: str
) -> None:
    known = Known(OPEN)
    guard = Guard(known)
    assert guard.forbidden(placement()) is None

    known.switches = OPEN.after(act(scope, subject, level))
    other = guard.forbidden(placement("bob", "SPY"))

    assert guard.forbidden(placement()) == "kill-switch"
    assert other == ("kill-switch" if scope == "global" else None)

    known.switches = known.switches.after(act(scope, subject, 0))
    assert guard.forbidden(placement()) is None


def test_nothing_leaves_while_the_switch_is_not_known() -> None:
    assert Guard(Known(None)).forbidden(placement()) == "kill-switch-unread"


@pytest.mark.parametrize(
    ("acts", "cancelled"),
    [
        ([act("global", "", 1), act("user", "alice", 1)], []),
        (
            [act("user", "alice", 2), act("symbol", "META", 3)],
            [("user", "alice"), ("symbol", "META")],
        ),
        ([act("user", "alice", 2), act("global", "", 2)], [("global", "")]),
        ([act("user", "alice", 2), act("user", "alice", 1)], []),
    ],
)
def test_all_is_cancelled_for_whom_the_level_says_so(
    acts: list[SwitchAct], cancelled: list[Target]
) -> None:
    switches = OPEN
    for one in acts:
        switches = switches.after(one)

    assert targets(switches) == cancelled


def test_nothing_is_cancelled_because_nobody_knows() -> None:
    assert targets(None) == []
