"""Write a shop's order export: 150,000 rows, about 1.5 % of them broken the way real exports are.

The same seed gives the same bytes: ``python -m raincheck.demo.make_orders --rows 150000 --seed 20240229``.
"""

import argparse
import csv
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from math import cos, pi
from pathlib import Path

from raincheck.demo.folders import ORDERS_CSV

ROWS = 150_000
SEED = 20240229
HEADER = ("order_id", "ordered_at", "customer_email", "country", "product", "quantity", "unit_price", "currency")
COUNTRIES = {"DE": 30, "FR": 18, "GB": 16, "NO": 9, "PL": 8, "SE": 8, "US": 7, "NL": 4}
PRODUCTS = {
    "umbrella": 24.90,
    "raincoat": 89.00,
    "rain boots": 64.50,
    "poncho": 19.90,
    "rain hat": 29.90,
    "backpack cover": 14.90,
    "rain gauge": 12.50,
    "barometer": 139.00,
}
NAMES = ("ada", "björn", "chloé", "dmitri", "elif", "frøya", "grace", "hugo", "inés", "jonas", "kasia", "liam")
# Umbrellas sell in autumn, and on weekdays.
DAY_WEIGHTS = tuple(
    (1 + 0.55 * cos(2 * pi * (day - 310) / 366)) * (0.7 if day % 7 in (5, 6) else 1.0) for day in range(366)
)
SUMMED_DAY_WEIGHTS = tuple(accumulate(DAY_WEIGHTS))
HOUR_WEIGHTS = (1, 1, 1, 1, 1, 2, 3, 5, 8, 9, 9, 10, 11, 10, 9, 9, 10, 12, 14, 16, 15, 11, 6, 3)
FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
BROKEN_SHARE = 0.015

Row = list[str]


def order_rows(rows: int = ROWS, seed: int = SEED) -> Iterator[Row]:
    """Yield the rows of the export, header excluded, in the order of their ids."""
    chance = random.Random(seed)  # noqa: S311 - data, not secrets
    breakages = list(BREAKAGES)
    for number in range(1, rows + 1):
        row = _order(number, chance)
        if chance.random() < BROKEN_SHARE:
            chance.choice(breakages)(row)
        yield row


def write_orders(
    path: Path,
    *,
    rows: int = ROWS,
    seed: int = SEED,
    progress: Callable[[int, int], None] = lambda _done, _rows: None,
) -> None:
    """Write the export; the file appears under its name only when it is complete.

    :param progress: called with the rows written and the rows in all, every 10,000 rows.
    """
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for done, row in enumerate(order_rows(rows, seed), start=1):
            writer.writerow(row)
            if done % 10_000 == 0 or done == rows:
                progress(done, rows)
    partial.replace(path)


def _order(number: int, chance: random.Random) -> Row:
    day = chance.choices(range(366), cum_weights=SUMMED_DAY_WEIGHTS)[0]
    hour = chance.choices(range(24), HOUR_WEIGHTS)[0]
    ordered_at = FIRST_DAY + timedelta(days=day, hours=hour, seconds=chance.randrange(3600))
    product = chance.choices(tuple(PRODUCTS), (30, 12, 10, 16, 12, 8, 8, 4))[0]
    discount = chance.choice((1.0, 1.0, 1.0, 0.9, 0.8))
    return [
        f"R{number:07d}",
        f"{ordered_at:%Y-%m-%dT%H:%M:%SZ}",
        f"{chance.choice(NAMES)}.{chance.randrange(40_000)}@example.com",
        chance.choices(tuple(COUNTRIES), tuple(COUNTRIES.values()))[0],
        product,
        str(min(12, 1 + int(chance.expovariate(1.1)))),
        f"{PRODUCTS[product] * discount:.2f}",
        "EUR",
    ]


# --- how exports break ----------------------------------------------------------------------------------------


def _no_email(row: Row) -> None:
    row[2] = ""


def _email_with_a_space(row: Row) -> None:
    row[2] = row[2].replace("@", " @")


def _local_date(row: Row) -> None:
    row[1] = f"{row[1][8:10]}.{row[1][5:7]}.{row[1][:4]}"


def _impossible_date(row: Row) -> None:
    row[1] = "2024-02-30T12:00:00Z"


def _returned_goods(row: Row) -> None:
    row[5] = "-" + row[5]


def _comma_price(row: Row) -> None:
    row[6] = row[6].replace(".", ",")


def _unknown_currency(row: Row) -> None:
    row[7] = "EURO"


def _cut_short(row: Row) -> None:
    del row[5:]


def _shifted(row: Row) -> None:
    row.insert(3, "Germany")


def _damaged_letters(row: Row) -> None:
    row[2] = "j\N{REPLACEMENT CHARACTER}rgen@example.com"


BREAKAGES: tuple[Callable[[Row], None], ...] = (
    _no_email,
    _email_with_a_space,
    _local_date,
    _impossible_date,
    _returned_goods,
    _comma_price,
    _unknown_currency,
    _cut_short,
    _shifted,
    _damaged_letters,
)


def main() -> None:
    """Write the export from the command line."""
    parser = argparse.ArgumentParser(description="Write a shop's order export as CSV.")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--output", type=Path, default=ORDERS_CSV)
    options = parser.parse_args()
    write_orders(options.output, rows=options.rows, seed=options.seed, progress=_print_progress)


def _print_progress(done: int, rows: int) -> None:
    print(f"\rorders.csv: {done:,} of {rows:,} rows", end="\n" if done == rows else "", flush=True)


if __name__ == "__main__":
    main()
