"""Where the demo keeps its data: the folder in DEMO_DATA, which the launcher sets, or ``.raincheck-demo`` here."""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("DEMO_DATA") or ".raincheck-demo").absolute()
ORDERS_CSV = DATA / "orders.csv"
SHOP_DB = DATA / "shop.db"  # the shop's own table, filled by the import
OPERATIONS_DB = DATA / "operations.db"  # Raincheck's store
RENDERED = DATA / "rendered"


def make_folders() -> None:
    """Make the data folders; existing ones are fine.

    :raises OSError: this is no place to write.
    """
    RENDERED.mkdir(parents=True, exist_ok=True)
