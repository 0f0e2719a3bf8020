"""The run as a picture: what was asked, what waited, who worked."""

from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.plotting import GREEN, GREY, ORANGE, STYLE, save
from bench.scale.run import Scaled

BESIDE: Final[dict[str, Any]] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
"""Where a legend hides nothing."""


def draw(scaled: Scaled, file: Path) -> None:
    """Write load, backlog and workers over the same seconds."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 5.2), layout="constrained")
        top, middle, bottom = figure.subplots(3, 1, sharex=True)
        _load(top, scaled)
        _backlog(middle, scaled)
        _workers(bottom, scaled)
        bottom.set_xlabel("seconds")
        save(figure, file)


def _load(axes: Axes, scaled: Scaled) -> None:
    looks = scaled.looks
    axes.plot([one.at for one in looks], [one.rate for one in looks], color=GREY, label="asked")
    pairs = list(pairwise(looks))
    answers = [(b.answered - a.answered) / (b.at - a.at) for a, b in pairs]
    axes.plot([b.at for _, b in pairs], answers, color=GREEN, label="answered")
    axes.set_ylim(bottom=0)
    axes.set_title("orders a second")
    axes.legend(**BESIDE)


def _backlog(axes: Axes, scaled: Scaled) -> None:
    looks = scaled.looks
    axes.plot([one.at for one in looks], [one.backlog for one in looks], color=ORANGE)
    target = scaled.setting.rule.target
    axes.axhline(target, color=GREY, linestyle=":", linewidth=1)
    axes.annotate(f"{target} a worker", (0, target), (2, 2), textcoords="offset points", fontsize=8)
    axes.set_ylim(bottom=0)
    axes.set_title("backlog of the task queue, as KEDA reads it")


def _workers(axes: Axes, scaled: Scaled) -> None:
    looks = scaled.looks
    times = [one.at for one in looks]
    axes.step(times, [one.wanted for one in looks], color=GREY, where="post", label="wanted")
    axes.step(times, [one.ready for one in looks], color=GREEN, where="post", label="at work")
    for number, drain in enumerate(scaled.drains):
        label = "SIGTERM to its end" if number == 0 else None
        level = 0.35 + 0.2 * number
        axes.plot([drain.at, drain.at + drain.seconds], [level] * 2, color=ORANGE, label=label)
    axes.set_ylim(0, scaled.setting.rule.replicas_max + 0.5)
    axes.set_yticks(range(scaled.setting.rule.replicas_max + 1))
    axes.set_title("order workers")
    axes.legend(**BESIDE)
