"""The measurements as a picture."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Final, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.figures import percentile
from bench.plotting import GREEN, GREY, ORANGE, STYLE, save
from bench.prices.plan import Row
from bench.prices.run import Kind, Measured
from bench.prices.tables import KINDS

COLOURS: Final[Mapping[Kind, str]] = {"hub": GREEN, "usual": ORANGE}
LINES: Final[Sequence[Literal["-", "--", ":"]]] = ("-", "--", ":")
PERCENTS: Final = [0.5 * number for number in range(1, 200)]


def draw(measured: Sequence[Measured], file: Path) -> None:
    """Write what was delivered, and how old it was, by row and server; the last run of each."""
    last = list({(one.row, one.kind): one for one in measured}.values())
    rows = list(dict.fromkeys(one.row for one in last))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 3.0), layout="constrained")
        left, right = figure.subplots(1, 2)
        _delivered(left, last, rows)
        _ages(right, last, rows)
        keys = [Line2D([], [], color=COLOURS[kind], label=KINDS[kind]) for kind in KINDS]
        for row, line in zip(rows, cycle(LINES), strict=False):
            keys.append(Line2D([], [], color=GREY, linestyle=line, label=f"{row}"))
        figure.legend(handles=keys, loc="outside lower center", ncols=len(keys))
        save(figure, file)


def _delivered(axes: Axes, measured: Sequence[Measured], rows: Sequence[Row]) -> None:
    """Dots, since bars on a logarithmic axis begin nowhere."""
    for place, row in enumerate(rows):
        axes.plot([row.offered_per_second], [place], "|", color=GREY, markersize=18)
        for one in measured:
            if one.row == row:
                rate = one.delivered_per_second
                side = 0.18 if one.kind == "usual" else -0.18
                axes.plot([rate], [place + side], "o", color=COLOURS[one.kind])
                axes.annotate(
                    f"{rate / 1000:,.0f}k",
                    (rate, place + side),
                    xytext=(-7, 0),
                    textcoords="offset points",
                    ha="right",
                    va="center",
                )
    axes.set_xscale("log")
    axes.set_xlim(3_000, 2_000_000)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [f"{row}" for row in rows])
    axes.set_ylabel("viewers x updates/s to each")
    axes.set_title("updates delivered/s on one core  ( | offered )")


def _ages(axes: Axes, measured: Sequence[Measured], rows: Sequence[Row]) -> None:
    for one in measured:
        ages = [percentile(one.watched.ages_ms, percent) for percent in PERCENTS]
        line = LINES[rows.index(one.row) % len(LINES)]
        axes.plot(ages, PERCENTS, line, color=COLOURS[one.kind])
    axes.set_xscale("log")
    axes.set_xlabel("ms from publishing to the viewer")
    axes.set_title("% of delivered updates that were younger")
