"""The demo's PDF report and its fractal."""

import re
import zlib

import numpy as np
import pytest
from PIL import Image

from raincheck import OperationContext, OperationFailed
from raincheck.core.errors import OperationCancelled
from raincheck.demo.fractal import TILE, View, escape_times, render_fractal
from raincheck.demo.make_orders import PRODUCTS, write_orders
from raincheck.demo.orders import import_orders
from raincheck.demo.plots import nice
from raincheck.demo.report import read_sales, render_report, report_pages

VIEW = View(width=2 * TILE + 10, height=TILE + 6, center=-0.6 + 0j, span=3.0, iterations=60)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    write_orders(folder / "orders.csv", rows=3000, seed=3)
    with (folder / "orders.csv").open("rb") as file:
        import_orders(file, folder / "shop.db", OperationContext())
    return folder / "shop.db"


class StopsAt(OperationContext):
    """Is asked to stop when the progress reaches a number."""

    def __init__(self, current):
        super().__init__()
        self.last = current

    def progress(self, current=None, *args, **keywords):
        super().progress(current, *args, **keywords)
        if current == self.last:
            self.request_cancel()


def test_a_report_has_a_page_for_each_product(database, tmp_path):
    """The PDF holds exactly the pages that progress counted."""
    op = OperationContext()
    pages = render_report(database, tmp_path / "report.pdf", title="Rain", op=op)
    pdf = (tmp_path / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert pages == len(re.findall(rb"/Type /Page\b", pdf)) == 4 + len(PRODUCTS)
    assert (op.recorder.progresses[-1].current, op.recorder.progresses[-1].unit) == (pages, "pages")


def test_a_report_says_in_text_what_the_orders_sum_up_to(database, tmp_path):
    """Each offset of the file's table is where its object begins, and the words can be read out of the pages."""
    render_report(database, tmp_path / "report.pdf", title="Regen für 雨 (2024)", op=OperationContext())
    pdf = (tmp_path / "report.pdf").read_bytes()
    table = int(re.search(rb"startxref\n(\d+)\n%%EOF\n$", pdf)[1])
    places = [int(place) for place in re.findall(rb"(\d{10}) 00000 n", pdf[table:])]
    assert [pdf[place:].split(b" ", 1)[0] for place in places] == [b"%d" % (at + 1) for at in range(len(places))]
    assert "Regen für 雨 (2024)".encode("utf-16").hex().encode() in pdf
    contents = [zlib.decompress(each) for each in re.findall(rb"stream\n(.*?)\nendstream", pdf, re.DOTALL)]
    words = [bytes.fromhex(each.decode()).decode("cp1252") for each in re.findall(rb"<(\w+)> Tj", contents[0])]
    sales = read_sales(database)
    assert "Regen für ? (2024)" in words
    assert f"€ {sales.euros.sum():,.2f} revenue" in words


@pytest.mark.parametrize(
    ("largest", "ticks"),
    [(0, [0]), (1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (41_784, [0, 10_000, 20_000, 30_000, 40_000]), (7, [0, 2, 4, 6])],
)
def test_axes_have_a_few_round_numbers(largest, ticks):
    """From 0 to about the largest value."""
    assert nice(largest) == pytest.approx(ticks)


def test_a_report_stops_between_two_pages(database, tmp_path):
    """A cancel is obeyed at the next page."""
    op = StopsAt(2)
    with pytest.raises(OperationCancelled):
        render_report(database, tmp_path / "report.pdf", title="Rain", op=op)
    assert op.recorder.progresses[-1].current == 2


def test_a_report_of_nothing_fails_on_purpose(tmp_path):
    """Without orders the caller is told to import some."""
    with pytest.raises(OperationFailed, match="POST /imports") as failure:
        render_report(tmp_path / "shop.db", tmp_path / "report.pdf", title="Rain", op=OperationContext())
    assert (failure.value.code, failure.value.status) == ("no-orders", 409)


def test_the_pages_of_products_share_out_all_sales(database):
    """Each order is on exactly one product's page."""
    sales = read_sales(database)
    assert sum(sales.of(product).euros.sum() for product in PRODUCTS) == pytest.approx(sales.euros.sum())
    assert len(report_pages(sales, "Rain")) == 4 + len(PRODUCTS)


def test_a_fractal_fills_its_whole_picture(tmp_path):
    """Tiles at the edges are cut to size; progress counts all of them."""
    op = OperationContext()
    render_fractal(VIEW, tmp_path / "fractal.png", op=op)
    with Image.open(tmp_path / "fractal.png") as picture:
        assert picture.size == (VIEW.width, VIEW.height)
        pixels = np.asarray(picture)
    assert pixels[:, -1].any(), "the last column was drawn"
    assert pixels[-1].any(), "the last row was drawn"
    assert op.recorder.progresses[-2].current == len(VIEW.tiles()) == 6


def test_a_fractal_stops_between_two_tiles(tmp_path):
    """A cancel is obeyed at the next tile, and no file is left."""
    with pytest.raises(OperationCancelled):
        render_fractal(VIEW, tmp_path / "fractal.png", op=StopsAt(1))
    assert not (tmp_path / "fractal.png").exists()


def test_points_of_the_set_never_escape():
    """Known points: 0 and -1 belong to the Mandelbrot set, 1 and 2i do not, and 2 leaves before 1."""
    times = escape_times(np.array([[0, -1, 1, 2, 2j]], dtype=complex), iterations=200)[0]
    assert np.isnan(times[:2]).all()
    assert np.isfinite(times[2:]).all()
    assert times[3] < times[2]
