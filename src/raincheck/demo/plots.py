"""Plots on pages of a PDF: bars, lines, dots and grids of colours, with axes."""

import math
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from raincheck.demo.pdf import A4, FAINT, SOFT, Page, width_of

RAIN, SUN, MIST = "2f6f9f", "d98e32", "cbdbe7"
# From little to much.
_SHADES = ("f4f8e6", "c7e5cd", "7fcdbb", "41a5c2", "2b6aa9", "16306f")
_MARGIN, _HEADING, _GAP = 48.0, 34.0, 46.0
_TITLE = 20.0  # above a plot
_LEFT = 46.0  # for the labels of its rows

Numbers = NDArray[np.float64]


class Plot:
    """One plot: its place on the page, and what its axes mean."""

    def __init__(self, page: Page, *, bottom: float, height: float) -> None:
        self.page = page
        self.left, self.width = _MARGIN + _LEFT, A4[0] - 2 * _MARGIN - _LEFT
        self.bottom, self.height = bottom, height
        self._x, self._y = (0.0, 1.0), (0.0, 1.0)

    def titled(self, title: str) -> Self:
        """Write what it shows above it."""
        self.page.text((_MARGIN, self.bottom + self.height + 8), title, size=10, bold=True)
        return self

    def axes(self, x: tuple[float, float], largest: float) -> Self:
        """Say what the axes mean, and draw the lines and numbers of the upright one, which begins at 0."""
        ticks = nice(largest)
        self._x, self._y = x, (0.0, max(largest * 1.04, ticks[-1]))
        for tick in ticks:
            y = self._at(x[0], tick)[1]
            self.page.line([(self.left, y), (self.left + self.width, y)], FAINT, width=0.6)
            self.page.text((self.left - 6, y - 3), f"{tick:,g}", size=8, colour=SOFT, align="right")
        return self

    def below(self, places: Sequence[float], names: Sequence[str]) -> None:
        """Write names below the plot, as many as have room."""
        room = max((width_of(name, 8) for name in names), default=0.0) + 10
        each = max(1, math.ceil(len(names) * room / self.width))
        for place, name in list(zip(places, names, strict=True))[::each]:
            x, _ = self._at(place, 0)
            self.page.text((x, self.bottom - 13), name, size=8, colour=SOFT, align="center")

    def bars(self, values: Numbers, names: Sequence[str]) -> None:
        """Draw an upright bar for each value, with its name below."""
        self.axes((-0.5, len(values) - 0.5), float(values.max()))
        wide = 0.8 * self.width / len(values)
        tops = [self._at(at, value) for at, value in enumerate(values)]
        self.page.rectangles(((x - wide / 2, self.bottom, wide, y - self.bottom) for x, y in tops), RAIN)
        self.below(range(len(values)), names)

    def rows(self, values: Numbers, names: Sequence[str], unit: str) -> None:
        """Draw a lying bar for each value, the first on top, with its name before it and its value behind it."""
        step = self.height / len(values)
        longest = self.width - 60
        for at, (value, name) in enumerate(zip(values, names, strict=True)):
            y = self.bottom + self.height - (at + 1) * step
            length = longest * float(value) / float(values.max())
            self.page.rectangles([(self.left + 24, y + 0.15 * step, length, 0.7 * step)], RAIN)
            self.page.text((self.left + 18, y + step / 2 - 3), name, size=8, align="right")
            self.page.text((self.left + 30 + length, y + step / 2 - 3), f"{value:,.0f} {unit}", size=8, colour=SOFT)

    def line(self, x: Numbers, y: Numbers, colour: str, *, width: float = 1.2) -> None:
        """Draw a line."""
        self.page.line([self._at(*each) for each in zip(x, y, strict=True)], colour, width=width)

    def area(self, x: Numbers, y: Numbers, colour: str) -> None:
        """Fill what is below a line."""
        line = [self._at(*each) for each in zip(x, y, strict=True)]
        self.page.area([(line[0][0], self.bottom), *line, (line[-1][0], self.bottom)], colour)

    def dots(self, x: Numbers, y: Numbers, colour: str) -> None:
        """Draw a dot for each pair."""
        places = (self._at(*each) for each in zip(x, y, strict=True))
        self.page.rectangles(((left - 0.6, bottom - 0.6, 1.2, 1.2) for left, bottom in places), colour)

    def grid(self, table: Numbers, rows: Sequence[str], columns: Sequence[str]) -> None:
        """Draw a coloured cell for each number, the first row on top."""
        wide, high = self.width / table.shape[1], self.height / table.shape[0]
        levels = np.ceil((table - table.min()) / max(float(np.ptp(table)), 1e-9) * len(_SHADES)).clip(1) - 1
        for level, colour in enumerate(_SHADES):
            cells = np.argwhere(levels == level)
            boxes = (
                (self.left + column * wide, self.bottom + self.height - (row + 1) * high, wide + 0.2, high + 0.2)
                for row, column in cells
            )
            self.page.rectangles(boxes, colour)
        for row, name in enumerate(rows):
            y = self.bottom + self.height - (row + 0.5) * high - 3
            self.page.text((self.left - 6, y), name, size=8, colour=SOFT, align="right")
        self._x = (-0.5, table.shape[1] - 0.5)
        self.below(range(len(columns)), columns)

    def _at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self._x[0]) / ((self._x[1] - self._x[0]) or 1.0)
        up = (y - self._y[0]) / ((self._y[1] - self._y[0]) or 1.0)
        return self.left + across * self.width, self.bottom + up * self.height


def plots(page: Page, title: str, *shares: float) -> list[Plot]:
    """Head a page with its title, and divide the rest among plots, from the top down, by their shares of the height."""
    top = A4[1] - _MARGIN
    page.text((_MARGIN, top - 12), title, size=17, bold=True)
    room = top - _HEADING - _MARGIN - len(shares) * (_TITLE + _GAP) + _GAP
    found, upper = [], top - _HEADING
    for share in shares:
        height = room * share / sum(shares)
        upper -= _TITLE + height
        found.append(Plot(page, bottom=upper, height=height))
        upper -= _GAP
    return found


def nice(largest: float) -> list[float]:
    """Return round numbers from 0 to about the largest."""
    if not largest > 0:
        return [0.0]
    size = 10.0 ** math.floor(math.log10(largest / 4))
    step = size * next(factor for factor in (1, 2, 2.5, 5, 10) if largest / (size * factor) <= 5)  # noqa: PLR2004
    return [step * each for each in range(int(largest / step + 1e-9) + 1)]


def months(first: np.datetime64, last: np.datetime64) -> tuple[list[float], list[str]]:
    """Return where the months between two days begin, in days since 1970, and what to call them."""
    begins = np.arange(first.astype("datetime64[M]"), last.astype("datetime64[M]") + 1)
    kept = [each for each in begins.astype("datetime64[D]") if first <= each <= last]
    return [float(each.astype(np.int64)) for each in kept], [str(each)[:7] for each in kept]
