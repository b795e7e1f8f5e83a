"""The shop's orders: judge each row of an export and write the good ones to SQLite, in batches that can be resumed."""

import csv
import io
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from raincheck import OperationContext, OperationFailed
from raincheck.demo.make_orders import HEADER

BATCH = 2_000
Numbered = tuple[int, list[str]]  # line number in the file, columns


class Order(BaseModel):
    """One row of the export."""

    order_id: Annotated[str, Field(pattern=r"^R\d{7}$")]
    ordered_at: AwareDatetime
    customer_email: Annotated[str, Field(pattern=r"^[^@\s\x{FFFD}]+@[^@\s]+$")]
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    product: Annotated[str, Field(min_length=1)]
    quantity: Annotated[int, Field(ge=1)]
    unit_price: Annotated[Decimal, Field(gt=0, decimal_places=2)]
    currency: Literal["EUR"]

    def as_stored(self) -> tuple[str, str, str, str, str, int, int]:
        """Return the columns of the table ``orders``; money in cents."""
        moment = self.ordered_at.astimezone(UTC).isoformat(timespec="seconds")
        cents = int(self.unit_price * 100)
        return self.order_id, moment, self.customer_email, self.country, self.product, self.quantity, cents


class Rejection(BaseModel):
    """A row that was not imported, and why."""

    line: int
    reason: str
    row: str


class ImportReport(BaseModel):
    """What an import did."""

    rows: int
    imported: int
    rejected: int
    rejected_by_reason: dict[str, int]


def import_orders(export: BinaryIO, database: Path, op: OperationContext) -> ImportReport:
    """Import an export; safe to run again, and a second run continues after the last batch that was committed.

    :param export: CSV in UTF-8 with the header of ``make_orders``.
    :raises OperationFailed: the file is not such an export.
    """
    total = max(0, sum(chunk.count(b"\n") for chunk in iter(lambda: export.read(1 << 20), b"")) - 1)
    export.seek(0)
    text = io.TextIOWrapper(export, encoding="utf-8-sig", errors="replace", newline="")
    try:
        with closing(open_shop(database)) as shop:
            rows, imported = _resume(shop, op)
            for batch in _batches(_rows(text, skip=rows)):
                op.raise_if_cancelled()
                orders, rejections = judge(batch)
                rows += len(batch)
                imported += len(orders)
                _commit(shop, op.id, orders, rejections, rows=rows, imported=imported)
                for rejection in rejections:
                    op.emit(rejection)
                op.progress(rows, total, unit="rows", message=f"{rows - imported:,} rows rejected")
            return _report(shop, op.id, rows=rows, imported=imported)
    finally:
        text.detach()  # the upload is closed by whoever opened it


def judge(batch: Iterable[Numbered]) -> tuple[list[Order], list[Rejection]]:
    """Return the rows that are orders, and those that are not with the reason."""
    orders, rejections = [], []
    for line, row in batch:
        try:
            orders.append(Order.model_validate(dict(zip(HEADER, row, strict=True))))
        except ValidationError as error:
            reason = f"bad {error.errors(include_url=False, include_input=False)[0]['loc'][0]}"
            rejections.append(Rejection(line=line, reason=reason, row=",".join(row)))
        except ValueError:  # zip found too many or too few columns
            rejections.append(Rejection(line=line, reason=f"{len(row)} columns", row=",".join(row)))
    return orders, rejections


def open_shop(database: Path) -> sqlite3.Connection:
    """Open the shop's database, with its tables made where they are missing."""
    shop = sqlite3.connect(database, timeout=30)
    shop.executescript(
        """
        PRAGMA journal_mode = WAL;
        CREATE TABLE IF NOT EXISTS orders (
            order_id TEXT PRIMARY KEY, ordered_at TEXT, customer_email TEXT, country TEXT, product TEXT,
            quantity INTEGER, unit_cents INTEGER
        ) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS imports (id TEXT PRIMARY KEY, rows INTEGER, imported INTEGER);
        CREATE TABLE IF NOT EXISTS rejections (
            import_id TEXT, line INTEGER, reason TEXT, row TEXT, PRIMARY KEY (import_id, line)
        ) WITHOUT ROWID;
        """,
    )
    return shop


def _rows(text: io.TextIOWrapper, *, skip: int) -> Iterator[Numbered]:
    reader = csv.reader(text)
    if next(reader, None) != list(HEADER):
        raise OperationFailed(
            code="not-an-order-export",
            title="The file is not an order export",
            status=422,
            detail=f"The first line must read {','.join(HEADER)}",
        )
    return islice(((reader.line_num, row) for row in reader), skip, None)


def _batches(rows: Iterator[Numbered]) -> Iterator[list[Numbered]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _resume(shop: sqlite3.Connection, op: OperationContext) -> tuple[int, int]:
    """Return how many rows earlier runs did and imported.

    Their rejections are emitted again, because the output of this run replaces theirs.
    """
    known = shop.execute("SELECT rows, imported FROM imports WHERE id = ?", [op.id]).fetchone()
    if known is None:
        return 0, 0
    op.log(f"continuing after row {known[0]:,}")
    query = "SELECT line, reason, row FROM rejections WHERE import_id = ? ORDER BY line"
    for line, reason, row in shop.execute(query, [op.id]):
        op.emit(Rejection(line=line, reason=reason, row=row))
    return int(known[0]), int(known[1])


def _commit(
    shop: sqlite3.Connection,
    import_id: str,
    orders: list[Order],
    rejections: list[Rejection],
    *,
    rows: int,
    imported: int,
) -> None:
    """Write a batch and how far the import is in one transaction. Twice the same batch changes nothing."""
    with shop:
        shop.executemany(
            "INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)",
            [order.as_stored() for order in orders],
        )
        shop.executemany(
            "INSERT OR REPLACE INTO rejections VALUES (?, ?, ?, ?)",
            [(import_id, rejection.line, rejection.reason, rejection.row) for rejection in rejections],
        )
        shop.execute("INSERT OR REPLACE INTO imports VALUES (?, ?, ?)", [import_id, rows, imported])


def _report(shop: sqlite3.Connection, import_id: str, *, rows: int, imported: int) -> ImportReport:
    query = "SELECT reason, COUNT(*) FROM rejections WHERE import_id = ? GROUP BY reason ORDER BY 2 DESC, 1"
    reasons = dict(shop.execute(query, [import_id]).fetchall())
    return ImportReport(rows=rows, imported=imported, rejected=rows - imported, rejected_by_reason=reasons)
