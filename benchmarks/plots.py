"""What measurements put into the documentation: tables between two marks, and plots.

Plots are SVG without a background, in colours that are legible on light and dark pages.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

mpl.use("svg")
from matplotlib import pyplot as plt


@dataclass(frozen=True, slots=True)
class Ink:
    """Colours with a contrast of at least 3 : 1 on white and on near-black."""

    text: str = "#7d8590"
    ours: str = "#2f81f7"
    others: str = "#8b949e"
    third: str = "#d4760a"


@contextlib.contextmanager
def plotted(path: Path, *, size: tuple[float, float]) -> Iterator[tuple[Any, Ink]]:
    """Yield axes to draw on, and write the file; the same figures give the same bytes."""
    ink = Ink()
    colours = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), ink.text)
    with mpl.rc_context({**colours, "svg.hashsalt": "raincheck", "svg.fonttype": "none", "font.size": 10}):
        figure, axes = plt.subplots(figsize=size, layout="constrained")
        axes.spines[["top", "right"]].set_visible(False)
        yield axes, ink
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, transparent=True, metadata={"Date": None})
        plt.close(figure)


def put_between(page: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between two marks of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")
