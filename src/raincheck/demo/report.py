"""The yearly report: a PDF with a page of totals, pages of plots, and one page for each product."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from raincheck import OperationContext, OperationFailed
from raincheck.demo.orders import open_shop
from raincheck.demo.pdf import Book, Page
from raincheck.demo.plots import MIST, RAIN, SUN, Numbers, months, plots

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class Sales:
    """The orders as columns."""

    moments: NDArray[np.datetime64]
    countries: NDArray[np.str_]
    products: NDArray[np.str_]
    quantities: NDArray[np.int64]
    euros: Numbers

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


Draw = Callable[[str], Page]
Key = TypeVar("Key", bound=np.generic)


def render_report(database: Path, pdf: Path, *, title: str, op: OperationContext) -> int:
    """Draw the report and return its number of pages. Each page is a cancellation point.

    :raises OperationFailed: there are no orders yet.
    """
    op.progress(stage="reading", message="reading the orders")
    sales = read_sales(database)
    pages = report_pages(sales, title)
    with Book(pdf, title=title) as book:
        for name, draw in op.track(pages, message="rendering", unit="pages"):
            book.add(draw(name))
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


def report_pages(sales: Sales, title: str) -> list[tuple[str, Draw]]:
    """Return the pages: a name, and what draws it."""
    return [
        (title, partial(_draw_totals, sales=sales)),
        ("Revenue by month", partial(_draw_months, sales=sales)),
        ("Revenue by country and product", partial(_draw_shares, sales=sales)),
        ("When people order", partial(_draw_hours, sales=sales)),
        *((name.capitalize(), partial(_draw_product, sales=sales.of(name))) for name in np.unique(sales.products)),
    ]


def _draw_totals(name: str, sales: Sales) -> Page:
    days, revenue = _by(sales.moments.astype("datetime64[D]"), sales.euros)
    top = int(np.argmax(revenue))
    page = Page()
    words, daily = plots(page, name, 1, 2)
    for at, line in enumerate(
        (
            f"{len(sales.euros):,} orders",
            f"{sales.quantities.sum():,} articles",
            f"€ {sales.euros.sum():,.2f} revenue",
            f"€ {sales.euros.mean():,.2f} an order",
            f"best day {days[top]} with € {revenue[top]:,.2f}",
        )
    ):
        page.text((words.left - 46, words.bottom + words.height - 10 - 27 * at), line, size=15)
    x = days.astype(np.int64).astype(np.float64)
    daily.titled("Revenue a day, and its mean over four weeks (€)").axes((x[0], x[-1]), float(revenue.max()))
    daily.area(x, revenue, MIST)
    daily.line(x, revenue, RAIN, width=0.6)
    daily.line(x, _smooth(revenue, days=28), SUN, width=2)
    daily.below(*months(days[0], days[-1]))
    return page


def _draw_months(name: str, sales: Sales) -> Page:
    of_order = sales.moments.astype("datetime64[M]")
    found, revenue = _by(of_order, sales.euros)
    names = [str(month) for month in found]
    countries = np.unique(sales.countries)
    table = np.array([[sales.euros[(sales.countries == c) & (of_order == m)].sum() for m in found] for c in countries])
    page = Page()
    bars, heat = plots(page, name, 1, 1)
    bars.titled("Revenue (thousand €)").bars(revenue / 1000, names)
    heat.titled("Each country's year").grid(
        table / table.sum(axis=1, keepdims=True), [str(country) for country in countries], names
    )
    return page


def _draw_shares(name: str, sales: Sales) -> Page:
    page = Page()
    titles = ("By country (thousand €)", "By product (thousand €)")
    for plot, title, column in zip(plots(page, name, 1, 1), titles, (sales.countries, sales.products), strict=True):
        names, revenue = _by(column, sales.euros)
        order = np.argsort(-revenue)
        plot.titled(title).rows(revenue[order] / 1000, [str(each) for each in names[order]], "k€")
    return page


def _draw_hours(name: str, sales: Sales) -> Page:
    hours = sales.moments.astype("datetime64[h]").astype(np.int64)
    weekday, hour = (hours // 24 + 3) % 7, hours % 24  # 1970 began on a Thursday
    table = np.histogram2d(weekday, hour, bins=(np.arange(8), np.arange(25)))[0]
    names = [f"{each:02}" for each in range(24)]
    page = Page()
    grid, bars = plots(page, name, 1, 1)
    grid.titled("Orders by weekday and hour (UTC)").grid(table, WEEKDAYS, names)
    bars.titled("Orders by hour").bars(table.sum(axis=0), names)
    return page


def _draw_product(name: str, sales: Sales) -> Page:
    page = Page()
    dots, weeks, sizes = plots(page, name, 2, 2, 1)
    days = sales.moments.astype("datetime64[s]").astype(np.int64) / 86_400
    ends = (float(days[0]), float(days[-1]))
    beginnings = months(sales.moments[0].astype("datetime64[D]"), sales.moments[-1].astype("datetime64[D]"))
    dots.titled("Every order (€)").axes(ends, float(sales.euros.max())).dots(days, sales.euros, RAIN)
    dots.below(*beginnings)
    found, revenue = _by(sales.moments.astype("datetime64[W]"), sales.euros)
    x = found.astype("datetime64[D]").astype(np.int64).astype(np.float64).clip(*ends)
    weeks.titled("Revenue a week (€)").axes(ends, float(revenue.max())).line(x, revenue, SUN, width=1.6)
    weeks.below(*beginnings)
    counts = np.histogram(sales.quantities, bins=np.arange(0.5, 13.5))[0].astype(np.float64)
    sizes.titled("Orders by number of articles").bars(counts, [str(number) for number in range(1, 13)])
    return page


def _by(keys: NDArray[Key], euros: Numbers) -> tuple[NDArray[Key], Numbers]:
    names, places = np.unique(keys, return_inverse=True)
    return names, np.bincount(places, weights=euros).astype(np.float64)


def _smooth(values: Numbers, *, days: int) -> Numbers:
    weights = np.ones(days)
    return np.convolve(values, weights, "same") / np.convolve(np.ones_like(values), weights, "same")
