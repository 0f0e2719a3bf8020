"""Pictures that are legible on light and on dark pages, and the same for the same figures."""

from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure

GREY: Final = "#808080"
"""Between black and white: text and lines show on either."""
GREEN: Final = "#1f9e89"
ORANGE: Final = "#e07b39"
STYLE: Final[dict[Any, Any]] = {
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": GREY,
    "axes.titlesize": 10,
    "font.size": 9,
    "legend.frameon": False,
    "legend.labelcolor": GREY,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "sherwood",
    "text.color": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
}


def save(figure: Figure, file: Path) -> None:
    """Write it, in the format of the file's name; an SVG without its date."""
    is_svg = file.suffix == ".svg"
    figure.savefig(file, transparent=True, metadata={"Date": None} if is_svg else None)
