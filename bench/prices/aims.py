"""What is aimed at, and whether it was met. Medians, where something was measured several times."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench.prices.path import Path
from bench.prices.plan import FULL, LIGHT, MANY, Row
from bench.prices.run import Measured
from bench.prices.stalled import Stalled
from bench.tables import Grid

DELIVERED_PER_SECOND_MIN: Final = 800_000
RATIO_MIN: Final = 20.0
FULL_P99_MS: Final = 170.0
CONNECTION_BYTES_MAX: Final = 21_000
OPENED_PER_SECOND_MIN: Final = 3_000
LIGHT_P99_MS: Final = 10.0
LIGHT_CORE: Final = 0.3
MANY_P99_MS: Final = 35.0
MANY_CORE: Final = 0.85
OTHERS_PERCENT: Final = 10.0
STALE_BYTES_MAX: Final = 100_000
GROWTH_BYTES_MAX: Final = 1_000_000
"""Of a node in ten seconds: what its allocator does by itself; a queue for each stalled viewer
would be 16 MB.
"""
PATH_P99_MS: Final = 200.0


@dataclass(frozen=True, slots=True)
class Aim:
    """One of them, in words."""

    what: str
    measured: str
    met: bool


def ratio(measured: Sequence[Measured]) -> float | None:
    """How many times the baseline was delivered: the median of runs taken in turns."""
    hub = [one.delivered_per_second for one in measured if one.kind == "hub"]
    usual = [one.delivered_per_second for one in measured if one.kind == "usual"]
    pairs = list(zip(hub, usual, strict=False))
    return median(ours / max(theirs, 1.0) for ours, theirs in pairs) if pairs else None


def verdict(measured: Sequence[Measured]) -> str | None:
    """Return the first row in one line, None if it was not measured on both servers."""
    full = [one for one in measured if one.row == FULL]
    times = ratio(full)
    if times is None:
        return None
    p99_ms = _p99([one for one in full if one.kind == "hub"])
    return f"hub/naive: {times:.1f}x delivered, p99 {p99_ms:.0f} ms"


def aims(
    measured: Sequence[Measured], stalled: Stalled | None = None, path: Path | None = None
) -> list[Aim]:
    """Return those that something was measured for."""
    return [
        *_full([one for one in measured if one.row == FULL]),
        *_paced(measured, LIGHT, LIGHT_P99_MS, LIGHT_CORE),
        *_paced(measured, MANY, MANY_P99_MS, MANY_CORE),
        *(_stalled(stalled) if stalled else ()),
        *(_path(path) if path else ()),
    ]


def aims_grid(found: Sequence[Aim]) -> Grid:
    """Return one line an aim."""
    rows = [(aim.what, aim.measured, "met" if aim.met else "missed") for aim in found]
    return Grid("Aims", ("aim", "measured", ""), rows)


def _full(measured: Sequence[Measured]) -> Iterator[Aim]:
    hub = [one for one in measured if one.kind == "hub"]
    if not hub:
        return
    delivered = median(one.delivered_per_second for one in hub)
    yield Aim(
        f"{FULL}: at least {DELIVERED_PER_SECOND_MIN:,} delivered/s",
        f"{delivered:,.0f}",
        delivered >= DELIVERED_PER_SECOND_MIN,
    )
    times = ratio(measured)
    if times is not None:
        what = f"{FULL}: at least {RATIO_MIN:g} times the usual way"
        yield Aim(what, f"{times:.1f}", times >= RATIO_MIN)
    yield _at_most(f"{FULL}: p99", _p99(hub), FULL_P99_MS)
    size = median(one.connection_bytes for one in hub)
    yield Aim(
        f"at most {CONNECTION_BYTES_MAX / 1000:g} kB a stream, of {FULL.viewers:,}",
        f"{size / 1000:.1f} kB",
        size <= CONNECTION_BYTES_MAX,
    )
    opened = median(one.opened_per_second for one in hub)
    what = f"at least {OPENED_PER_SECOND_MIN:,} streams opened/s, by viewers new to the node"
    yield Aim(what, f"{opened:,.0f}", opened >= OPENED_PER_SECOND_MIN)
    if back := [rate for one in hub if (rate := one.came_back_per_second) is not None]:
        what = f"at least {OPENED_PER_SECOND_MIN:,} streams opened/s, when all come back at once"
        yield Aim(what, f"{median(back):,.0f}", median(back) >= OPENED_PER_SECOND_MIN)


def _paced(measured: Sequence[Measured], row: Row, p99_ms: float, core: float) -> Iterator[Aim]:
    hub = [one for one in measured if one.row == row and one.kind == "hub"]
    if not hub:
        return
    yield _at_most(f"{row}: p99", _p99(hub), p99_ms)
    share = median(one.shares["server"] for one in hub)
    yield Aim(f"{row}: at most {core:g} of the core", f"{share:.2f}", share <= core)


def _stalled(stalled: Stalled) -> Iterator[Aim]:
    before, during = stalled.p99_before_ms, stalled.p99_during_ms
    change = 100 * (during / before - 1) if before else 0.0
    yield Aim(
        f"stalled viewers: the others' p99 unchanged within {OTHERS_PERCENT:g} %",
        f"{before:.1f} ms without, {during:.1f} ms with",
        change <= OTHERS_PERCENT,
    )
    worst = max(stalled.resumed.stale_bytes, default=0)
    yield Aim(
        f"stalled viewers: at most {STALE_BYTES_MAX / 1000:g} kB of old prices each",
        f"{worst / 1000:.1f} kB at most, "
        f"{sum(stalled.resumed.stale_bytes) / max(1, len(stalled.resumed.stale_bytes)) / 1000:.1f}"
        " kB on average",
        worst <= STALE_BYTES_MAX,
    )
    yield Aim(
        "stalled viewers: no growth of the node",
        f"{stalled.growth_bytes / 1_000_000:.1f} MB in the second half of the stall",
        stalled.growth_bytes <= GROWTH_BYTES_MAX,
    )


def _path(path: Path) -> Iterator[Aim]:
    yield _at_most(
        "from the trade to the viewer, the whole path: p99", path.percentile_ms(99), PATH_P99_MS
    )


def _p99(measured: Sequence[Measured]) -> float:
    return median(one.percentile_ms(99) for one in measured)


def _at_most(what: str, measured_ms: float, most_ms: float) -> Aim:
    return Aim(f"{what} at most {most_ms:g} ms", f"{measured_ms:.1f} ms", measured_ms <= most_ms)
