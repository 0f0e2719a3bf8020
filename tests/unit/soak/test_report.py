from typing import Any

import msgspec
from rich.console import Console

from tests.checker.violations import Violation
from tests.soak.recovery import Measured
from tests.soak.report import reliability, show
from tests.soak.result import Blow, Seen, Soaked
from tests.soak.schedule import Fault, Kind


def blow(kind: Kind, target: str, *, acted: bool = True, recovered: Measured | None = None) -> Blow:
    seen = Seen(acted, "pid 12 is gone" if acted else "no traffic", 1_700_000_000.5)
    return Blow(1, 2.5, Fault(kind, target, 3.0), seen, recovered)


def soaked(*blows: Blow, **other: Any) -> Soaked:
    facts: dict[str, Any] = {
        "seed": 7,
        "load_seconds": 90.0,
        "settling_seconds": 4.0,
        "orders": {"filled": 1_200, "cancelled": 34},
        "executions": 2_345,
        "calls": {"place ok": 1_300},
        "violations": [],
        "violations_after_restart": [],
        "late_arrivals": 0,
    }
    return Soaked(blows=blows, **(facts | other))


def resolved(seconds: float | None) -> Measured:
    return Measured(back=1.0, writes=1.1, resolved=seconds, caught_up=0.5)


def shown(run: Soaked) -> str:
    console = Console(record=True, width=200, file=None, quiet=False)
    with console.capture() as capture:
        show(console, run)
    return capture.get()


def test_a_run_is_good_when_nothing_is_violated_and_every_kind_acted() -> None:
    violation = Violation("S7", "order 1", "booked twice")

    assert soaked(blow("kill", "nats")).is_good
    assert soaked(blow("slow", "api/nats", acted=False), blow("slow", "api/nats")).is_good
    assert not soaked(blow("slow", "api/nats", acted=False)).is_good
    assert not soaked(violations=[violation]).is_good
    assert not soaked(violations_after_restart=[violation]).is_good


def test_what_did_not_act_and_what_is_violated_is_shown() -> None:
    idle = blow("lose", "feed-2/exchange", acted=False)
    run = soaked(
        idle,
        blow("kill", "nats"),
        violations=[Violation("S7", "order 1", "booked [twice]")],
        violations_after_restart=[Violation("L3", "PARKED", "2 reports are left")],
    )

    text = shown(run)

    assert "did not act: lose feed-2/exchange: no traffic" in text
    assert "no fault of this kind acted: lose" in text
    assert "violated: S7 at order 1: booked [twice]" in text
    assert "violated after the restart: L3 at PARKED: 2 reports are left" in text
    assert "nothing lost" not in text
    assert "nothing lost" in shown(soaked(blow("kill", "nats")))


def test_the_table_has_the_figures_of_every_run_and_of_what_never_recovered() -> None:
    first = soaked(
        *(blow("kill", "orders-1", recovered=resolved(seconds)) for seconds in (3.0, 5.0, 11.0)),
        blow("kill", "postgres", recovered=Measured(0.5, 1.25, 2.0, 2.0)),
        blow("freeze", "gateway"),
    )
    second = soaked(
        blow("kill", "orders-2", recovered=resolved(None)), blow("kill", "orders-2"), seed=8
    )

    grid = reliability([first, second])

    assert grid.title == "3.0 minutes of faults, seed 7, 8"
    assert grid.rows == [
        ["orders, executions", "2,468, 4,690"],
        ["faults that acted", "kill 6, freeze 1"],
        ["violations of an invariant", "0"],
        [
            "worker killed: every order that waited has its answer",
            "5.0 / over 45 s of 4 (aim 12 s)",
        ],
        ["Postgres killed: an order is taken again", "1.2 / 1.2 s of 1 (aim 2 s)"],
        ["NATS killed: all that the exchange told is booked", "- s of 0 (aim 5 s)"],
        ["frozen and thawed: orders that the exchange took late", "0"],
        ["placements that reached it late, and were refused", "0"],
    ]


def test_a_file_of_a_run_is_the_run() -> None:
    run = soaked(
        blow("kill", "orders-1", recovered=resolved(3.0)), blow("slow", "api/nats", acted=False)
    )

    kept = msgspec.json.decode(msgspec.json.encode(run), type=Soaked)

    assert reliability([kept]) == reliability([run])
    assert list(kept.blows) == list(run.blows)
