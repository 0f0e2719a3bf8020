"""What was measured as tables, and whether the aims were met."""

from collections.abc import Sequence
from statistics import median

from bench.prices.run import Kind, Measured
from bench.tables import Grid

KINDS: dict[Kind, str] = {"hub": "Sherwood", "usual": "the usual way"}
KILO = 1_000


def delivery_grid(measured: Sequence[Measured]) -> Grid:
    """Return one line a run, in the order they ran."""
    rows = [
        (
            f"{one.row}, {KINDS[one.kind]}",
            f"{one.delivered_per_second:,.0f}",
            f"{100 * one.delivered_per_second / one.offered_per_second:.0f} %",
            f"{one.percentile_ms(50):,.1f}",
            f"{one.percentile_ms(99):,.1f}",
            f"{one.shares['server']:.2f}",
            f"{one.opened_per_second:,.0f}",
            f"{one.connection_bytes / KILO:.1f}",
            f"{one.watched.bytes / max(1, one.watched.updates):.0f}",
            f"{one.watched.updates / max(1, one.watched.reads):.1f}",
        )
        for one in measured
    ]
    headings = (
        "viewers x updates/s",
        "delivered/s",
        "of offered",
        "age p50 ms",
        "age p99 ms",
        "core",
        "opened/s",
        "kB a stream",
        "B an update",
        "updates a read",
    )
    return Grid("Prices delivered by one node on one core", headings, rows)


def load_grid(measured: Sequence[Measured]) -> Grid:
    """Return what says whether a run is to be trusted: the load itself, and who else was busy.

    In parts of a core; `strangers` is what others took of the server's.
    """
    rows = [
        (
            f"{one.row}, {KINDS[one.kind]}",
            f"{100 * one.offered_share:.1f} %",
            f"{one.published.late_ms_max:.0f}",
            f"{one.shares['client']:.2f}",
            f"{one.shares['publisher']:.2f}",
            f"{one.shares['NATS']:.2f}",
            f"{one.opened.cpu_seconds / one.opened.seconds:.2f}",
            f"{one.strangers:.2f}",
            f"{one.opened.refused}",
            f"{one.watched.lost}",
            checked(one),
        )
        for one in measured
    ]
    headings = (
        "viewers x updates/s",
        "offered",
        "late ms",
        "client",
        "publisher",
        "NATS",
        "client, opening",
        "strangers",
        "refused",
        "lost",
        "recorded streams",
    )
    return Grid("The load itself", headings, rows)


def checked(one: Measured) -> str:
    """Return what the recorded streams showed."""
    if one.checked is None:
        return ""
    if one.checked.faults:
        return f"{len(one.checked.faults)} faults"
    return f"{one.checked.updates:,} updates in order"


def ratio(measured: Sequence[Measured]) -> float:
    """Return how many times the baseline was delivered: the median of runs taken in turns."""
    hub = [one.delivered_per_second for one in measured if one.kind == "hub"]
    usual = [one.delivered_per_second for one in measured if one.kind == "usual"]
    return median(ours / theirs for ours, theirs in zip(hub, usual, strict=True))
