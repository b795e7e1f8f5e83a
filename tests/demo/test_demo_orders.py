"""The demo's export and its import."""

import csv
import hashlib
import io
import sqlite3
from contextlib import closing

import pytest

from raincheck import OperationContext, OperationFailed
from raincheck.core.errors import OperationCancelled
from raincheck.demo.make_orders import BREAKAGES, HEADER, order_rows, write_orders
from raincheck.demo.orders import BATCH, Order, import_orders, judge

ROWS = 3 * BATCH


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "orders.csv"
    write_orders(path, rows=ROWS, seed=1)
    return path


@pytest.fixture
def database(tmp_path):
    return tmp_path / "shop.db"


def stored(database):
    with closing(sqlite3.connect(database)) as shop:
        return shop.execute("SELECT * FROM orders ORDER BY order_id").fetchall()


class CancelledAfter(OperationContext):
    """Is asked to stop once so many batches were committed."""

    def __init__(self, batches):
        super().__init__(id="op_same")
        self.batches = batches

    def progress(self, *args, **keywords):
        super().progress(*args, **keywords)
        self.batches -= 1
        if self.batches == 0:
            self.request_cancel()


def test_a_seed_gives_the_same_export_on_every_python_version(tmp_path):
    """The stated seed stands for exact bytes, whatever interpreter writes them."""
    write_orders(tmp_path / "orders.csv", rows=1000, seed=20240229)
    digest = hashlib.sha256((tmp_path / "orders.csv").read_bytes()).hexdigest()
    assert digest == "0ef0840626b2eb676ded156809be6b523e271fb1e9e54a484585c28d712b145b"


def test_a_cut_off_export_never_has_the_name_of_a_complete_one(tmp_path):
    """A first start that is interrupted leaves no half orders.csv for the second to use."""

    def interrupt(_done, _rows):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_orders(tmp_path / "orders.csv", rows=10_000, progress=interrupt)
    assert not (tmp_path / "orders.csv").exists()


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda breakage: breakage.__name__.strip("_"))
def test_every_kind_of_broken_row_is_rejected(breakage):
    """Each way in which the script breaks a row is one that the import finds."""
    row = next(row for row in order_rows(100, seed=2) if judge([(2, list(row))])[0])
    breakage(row)
    orders, rejections = judge([(2, row)])
    assert (orders, len(rejections)) == ([], 1)


def test_an_import_stores_good_rows_and_reports_bad_ones(export, database):
    """What is not stored is counted, explained and emitted with its line."""
    op = OperationContext()
    with export.open("rb") as file:
        report = import_orders(file, database, op)
    assert report.rows == ROWS
    assert 0 < report.rejected < ROWS / 20
    assert report.imported == len(stored(database)) == ROWS - report.rejected
    assert sum(report.rejected_by_reason.values()) == report.rejected == len(op.recorder.outputs)
    with export.open(encoding="utf-8", newline="") as file:
        lines = [",".join(row) for row in csv.reader(file)]
    for chunk in op.recorder.outputs:
        assert lines[chunk["line"] - 1] == chunk["row"]


def test_progress_ends_at_the_number_of_rows(export, database):
    """The total that was counted beforehand is the number of rows that were read."""
    op = OperationContext()
    with export.open("rb") as file:
        import_orders(file, database, op)
    assert (op.recorder.progresses[-1].current, op.recorder.progresses[-1].total) == (ROWS, ROWS)


def test_a_second_run_continues_after_the_last_committed_batch(export, database):
    """A run that was killed loses at most one batch; the next one reports the whole and emits every rejection."""
    with export.open("rb") as file, pytest.raises(OperationCancelled):
        import_orders(file, database, CancelledAfter(1))
    assert 0 < len(stored(database)) <= BATCH
    second = OperationContext(id="op_same")
    with export.open("rb") as file:
        resumed = import_orders(file, database, second)
    assert second.recorder.progresses[0].current == 2 * BATCH
    rows, once = stored(database), OperationContext(id="op_other")
    with export.open("rb") as file:
        whole = import_orders(file, database, once)
    assert resumed == whole
    assert second.recorder.outputs == once.recorder.outputs
    assert stored(database) == rows


def test_a_file_that_is_no_export_fails_on_purpose(database):
    """A wrong header is the caller's mistake, told with a code."""
    with pytest.raises(OperationFailed) as failure:
        import_orders(io.BytesIO(b"name,age\nada,36\n"), database, OperationContext())
    assert (failure.value.code, failure.value.status) == ("not-an-order-export", 422)


def test_the_upload_stays_open(export, database):
    """The import does not close a file that it did not open."""
    with export.open("rb") as file:
        import_orders(file, database, OperationContext())
        assert not file.closed


def test_money_is_stored_in_cents_and_time_in_utc():
    """No float touches a price, and offsets are gone."""
    cells = ("R0000001", "2024-03-01T01:30:00+02:00", "ada@example.com", "DE", "poncho", "2", "19.90", "EUR")
    order = Order.model_validate(dict(zip(HEADER, cells, strict=True)))
    assert order.as_stored()[1::5] == ("2024-02-29T23:30:00+00:00", 1990)
