"""The command `python -m bench.scale`."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer
import yaml
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from bench.children import ChildFailed
from bench.figures import percentile
from bench.machine import describe, load_average
from bench.scale.load import Shape
from bench.scale.plot import draw
from bench.scale.rule import Rule
from bench.scale.run import Scaled, Setting, scale
from bench.tables import Grid, show, wide_console
from devstack.errors import StackError
from devstack.settings import CHECKOUT

MANIFEST: Final = CHECKOUT / "docker/k8s/orders/orders.yaml"
"""The ScaledObject of the order workers; what it says is what is done here."""
WORKERS: Final = (1, 4)
"""The least and the most that two cores have use for; the manifest's numbers are for a cluster."""
SHAPE: Final = Shape(
    low=3, high=20, low_seconds=10, rise_seconds=30, high_seconds=30, after_seconds=70
)
SPARKS: Final = " ▁▂▃▄▅▆▇█"
SHOWN: Final = 60

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
console = wide_console()


@app.command()
def demo(
    workers: Annotated[
        tuple[int, int], typer.Option(help="The least and the most there may be.")
    ] = WORKERS,
    clock: Annotated[
        float, typer.Option(min=1, help="How much faster than the manifest says the rule acts.")
    ] = 6.0,
    slots: Annotated[int, typer.Option(min=2, help="Orders in one worker's hand at most.")] = 3,
    exchange_ms: Annotated[
        float, typer.Option(min=1, max=600, help="What the exchange takes to answer a placement.")
    ] = 250.0,
    high: Annotated[float, typer.Option(min=1, help="Orders a second at the height.")] = SHAPE.high,
    plot: Annotated[Path | None, typer.Option(help="Draw the run into this file.")] = None,
    markdown: Annotated[bool, typer.Option(help="Print the tables in Markdown too.")] = True,
) -> None:
    """Let the load rise and fall, and order workers come and go with the backlog.

    Ends with 1 if an order was lost, a worker did not leave in good order, or nothing was to see.
    """
    least, most = workers
    rule = replace(manifest_rule(), replicas_min=least, replicas_max=most).faster(clock)
    setting = Setting(rule, replace(SHAPE, high=high), slots, exchange_ms / 1000)
    load_before = load_average()
    with Live(console=Console(stderr=True), refresh_per_second=2) as live:

        def seen(scaled: Scaled) -> None:
            live.update(screen(scaled))

        try:
            scaled = asyncio.run(scale(setting, lambda text: live.update(Text(text)), seen))
        except (StackError, ChildFailed) as error:
            live.stop()
            console.print(str(error), style="red", markup=False)
            raise typer.Exit(2) from None
    show(console, grids(scaled, clock), markdown)
    if plot:
        draw(scaled, plot)
    for text in complaints(scaled):
        console.print(text, style="red", markup=False, soft_wrap=True)
    console.print(f"\nmachine: {describe()}; its load before: {load_before:.2f}", soft_wrap=True)
    raise typer.Exit(0 if scaled.is_good else 1)


def manifest_rule(manifest: Path = MANIFEST) -> Rule:
    """The rule as it is deployed."""
    documents = yaml.safe_load_all(manifest.read_text())
    (found,) = (one for one in documents if one["kind"] == "ScaledObject")
    return Rule.of_manifest(found)


def screen(scaled: Scaled) -> Group:
    """What is shown while it runs: this second's figures, and how they went."""
    look = scaled.looks[-1]
    looks = scaled.looks[-SHOWN:]
    lines = [
        f"{look.at:4.0f} of {scaled.setting.shape.seconds:.0f} s, "
        f"{look.answered} of {look.asked} orders answered",
        f"orders/s {look.rate:5.1f}  {spark([one.rate for one in looks])}",
        f"backlog  {look.backlog:5}  {spark([one.backlog for one in looks])}",
        f"workers  {look.ready:5}  {spark([one.ready for one in looks])}",
    ]
    lines += [
        f"at {one.at:3.0f} s a backlog of {one.backlog}: from {one.before} to {one.after} workers"
        for one in scaled.changes
    ]
    return Group(*map(Text, lines))


def spark(values: Sequence[float]) -> str:
    """The values as a line of bars, the highest one full."""
    most = max(*values, 1e-9) if len(values) > 1 else max(values[0], 1e-9)
    return "".join(SPARKS[round(value / most * (len(SPARKS) - 1))] for value in values)


def grids(scaled: Scaled, clock: float) -> list[Grid]:
    """What happened, and what it was for the users."""
    changes = [
        (f"{one.at:.0f}", f"{one.backlog}", f"{one.before}", f"{one.after}")
        for one in scaled.changes
    ]
    drains = [(one.name, f"{one.at:.0f}", f"{one.seconds:.1f}", one.ended) for one in scaled.drains]
    return [
        Grid("The rule", ("", "here", "as deployed"), list(_rule_rows(scaled, clock))),
        Grid("Workers added and removed", ("second", "backlog", "from", "to"), changes),
        Grid("Workers told to stop", ("worker", "second", "took s", "how"), drains),
        Grid(
            "Orders",
            ("", "orders", "p50 s", "p99 s", "max s", "not taken"),
            list(_order_rows(scaled)),
        ),
    ]


def _rule_rows(scaled: Scaled, clock: float) -> Iterator[tuple[str, str, str]]:
    here, there = scaled.setting.rule, manifest_rule()
    yield "backlog a worker", f"{here.target}", f"{there.target}"
    yield "workers, least", f"{here.replicas_min}", f"{there.replicas_min}"
    yield "workers, most", f"{here.replicas_max}", f"{there.replicas_max}"
    yield "decides every", f"{here.sync_seconds:g} s", f"{there.sync_seconds:g} s"
    window, deployed = here.down.window_seconds, there.down.window_seconds
    yield "fewer only after", f"{window:g} s", f"{deployed:g} s"
    yield "clock", f"{clock:g} times", "1"


def _order_rows(scaled: Scaled) -> Iterator[tuple[str, ...]]:
    up = [one.at for one in scaled.changes if one.after > one.before]
    first, last = (up[0], up[-1]) if up else (0.0, 0.0)
    parts = {
        "before the first worker was added": (0.0, first),
        "while workers were added": (first, last + scaled.setting.rule.sync_seconds),
        "after": (last + scaled.setting.rule.sync_seconds, float("inf")),
    }
    for name, (begin, end) in parts.items():
        some = [one for one in scaled.answered if begin <= one.due < end]
        waits = sorted(one.seconds for one in some)
        other = Counter(one.ending for one in some if one.ending != "taken")
        figures = (f"{percentile(waits, percent):.2f}" for percent in (50, 99, 100))
        told = ", ".join(f"{ending} {count}" for ending, count in other.items()) or "none"
        yield name, f"{len(some):,}", *figures, told


def complaints(scaled: Scaled) -> Iterator[str]:
    """What was not as it must be."""
    yield from (f"taken, and not in our books: {order_id}" for order_id in scaled.missing)
    yield from map(str, scaled.differences)
    yield from (f"{one.name} {one.ended}" for one in scaled.drains if not one.clean)
    if not scaled.changes:
        yield f"no worker was added: the longest backlog was {scaled.backlog_max}"
    elif not scaled.drains:
        yield "no worker left again"
