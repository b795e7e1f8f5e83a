"""The yearly report: a PDF with a page of totals, pages of plots, and one page for each product."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import matplotlib.style as mpl_style
import numpy as np
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from numpy.typing import NDArray

from raincheck import OperationContext, OperationFailed
from raincheck.demo.orders import open_shop

PAGE_INCHES = (8.27, 11.69)  # A4
INK, RAIN, SUN = "#1d2733", "#2f6f9f", "#d98e32"
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
STYLE = {
    "axes.edgecolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "font.size": 9,
    "pdf.fonttype": 42,
    "text.color": INK,
}


@dataclass(frozen=True, slots=True)
class Sales:
    """The orders as columns."""

    moments: NDArray[np.datetime64]
    countries: NDArray[np.str_]
    products: NDArray[np.str_]
    quantities: NDArray[np.int64]
    euros: NDArray[np.float64]

    def of(self, product: str) -> "Sales":
        """Return the sales of one product."""
        chosen = self.products == product
        return Sales(
            self.moments[chosen],
            self.countries[chosen],
            self.products[chosen],
            self.quantities[chosen],
            self.euros[chosen],
        )


Page = Callable[[Figure], None]
Key = TypeVar("Key", bound=np.generic)


def render_report(database: Path, pdf: Path, *, title: str, op: OperationContext) -> int:
    """Draw the report and return its number of pages. Each page is a cancellation point.

    :raises OperationFailed: there are no orders yet.
    """
    op.progress(stage="reading", message="reading the orders")
    sales = read_sales(database)
    pages = report_pages(sales, title)
    with mpl_style.context(STYLE), PdfPages(pdf, metadata={"Title": title, "CreationDate": None}) as book:
        for name, draw in op.track(pages, message="rendering", unit="pages"):
            figure = Figure(figsize=PAGE_INCHES, layout="constrained")
            figure.suptitle(name, x=0.02, ha="left", fontsize=15, weight="bold")
            draw(figure)
            book.savefig(figure)
    return len(pages)


def read_sales(database: Path) -> Sales:
    """Read all orders.

    :raises OperationFailed: there are none.
    """
    query = (
        "SELECT ordered_at, country, product, quantity, quantity * unit_cents / 100.0 FROM orders ORDER BY ordered_at"
    )
    with closing(open_shop(database)) as shop:
        rows: list[tuple[str, str, str, int, float]] = shop.execute(query).fetchall()
    if not rows:
        raise OperationFailed(
            code="no-orders",
            title="There is nothing to report",
            status=409,
            detail="Import orders first (POST /imports).",
        )
    moments, countries, products, quantities, euros = zip(*rows, strict=True)
    return Sales(
        np.array([datetime.fromisoformat(moment).replace(tzinfo=None) for moment in moments], dtype="datetime64[s]"),
        np.array(countries),
        np.array(products),
        np.array(quantities, dtype=np.int64),
        np.array(euros),
    )


def report_pages(sales: Sales, title: str) -> list[tuple[str, Page]]:
    """Return the pages: a name, and what draws it."""
    return [
        (title, partial(_draw_totals, sales=sales)),
        ("Revenue by month", partial(_draw_months, sales=sales)),
        ("Revenue by country and product", partial(_draw_shares, sales=sales)),
        ("When people order", partial(_draw_hours, sales=sales)),
        *((name.capitalize(), partial(_draw_product, sales=sales.of(name))) for name in np.unique(sales.products)),
    ]


def _draw_totals(figure: Figure, sales: Sales) -> None:
    best_day, revenue = _by(sales.moments.astype("datetime64[D]"), sales.euros)
    top = int(np.argmax(revenue))
    lines = [
        f"{len(sales.euros):,} orders",
        f"{sales.quantities.sum():,} articles",
        f"€ {sales.euros.sum():,.2f} revenue",
        f"€ {sales.euros.mean():,.2f} an order",
        f"best day {best_day[top]} with € {revenue[top]:,.2f}",
    ]
    words, daily = figure.subplots(2, 1, height_ratios=(1, 2))
    words.axis("off")
    words.text(0, 0.9, "\n".join(lines), fontsize=15, linespacing=1.7, va="top")
    daily.fill_between(best_day, revenue, color=RAIN, alpha=0.25)
    daily.plot(best_day, revenue, color=RAIN, linewidth=0.8)
    daily.plot(best_day, _smooth(revenue, days=28), color=SUN, linewidth=2)
    daily.set_title("Revenue a day, and its mean over four weeks (€)")


def _draw_months(figure: Figure, sales: Sales) -> None:
    months = sales.moments.astype("datetime64[M]")
    bars, heat = figure.subplots(2, 1)
    names, revenue = _by(months, sales.euros)
    bars.bar([str(name) for name in names], revenue / 1000, color=RAIN)
    bars.tick_params(axis="x", rotation=45)
    bars.set_title("Revenue (thousand €)")
    countries = np.unique(sales.countries)
    table = np.array([[sales.euros[(sales.countries == c) & (months == m)].sum() for m in names] for c in countries])
    heat.imshow(table / table.sum(axis=1, keepdims=True), cmap="YlGnBu", aspect="auto")
    heat.set_yticks(range(len(countries)), countries)
    heat.set_xticks(range(len(names)), [str(name) for name in names], rotation=45)
    heat.set_title("Each country's year")


def _draw_shares(figure: Figure, sales: Sales) -> None:
    for axes, column in zip(figure.subplots(2, 1), (sales.countries, sales.products), strict=True):
        names, revenue = _by(column, sales.euros)
        order = np.argsort(revenue)
        axes.barh(names[order], revenue[order] / 1000, color=RAIN)
        axes.set_xlabel("thousand €")


def _draw_hours(figure: Figure, sales: Sales) -> None:
    hours = sales.moments.astype("datetime64[h]").astype(np.int64)
    weekday, hour = (hours // 24 + 3) % 7, hours % 24  # 1970 began on a Thursday
    table = np.histogram2d(weekday, hour, bins=(np.arange(8), np.arange(25)))[0]
    grid, line = figure.subplots(2, 1)
    grid.imshow(table, cmap="YlGnBu", aspect="auto")
    grid.set_yticks(range(7), WEEKDAYS)
    grid.set_title("Orders by weekday and hour (UTC)")
    line.step(np.arange(24), table.sum(axis=0), where="mid", color=RAIN)
    line.set_title("Orders by hour")


def _draw_product(figure: Figure, sales: Sales) -> None:
    dots, weeks, sizes = figure.subplots(3, 1, height_ratios=(2, 2, 1))
    dots.scatter(sales.moments, sales.euros, s=2, alpha=0.25, color=RAIN, linewidths=0, rasterized=True)
    dots.set_title("Every order (€)")
    names, revenue = _by(sales.moments.astype("datetime64[W]"), sales.euros)
    weeks.plot(names, revenue, color=SUN)
    weeks.set_title("Revenue a week (€)")
    sizes.hist(sales.quantities, bins=np.arange(0.5, 13.5), color=RAIN, rwidth=0.9)
    sizes.set_title("Articles an order")


def _by(keys: NDArray[Key], euros: NDArray[np.float64]) -> tuple[NDArray[Key], NDArray[np.float64]]:
    names, places = np.unique(keys, return_inverse=True)
    return names, np.bincount(places, weights=euros).astype(np.float64)


def _smooth(values: NDArray[np.float64], *, days: int) -> NDArray[np.float64]:
    weights = np.ones(days)
    return np.convolve(values, weights, "same") / np.convolve(np.ones_like(values), weights, "same")
