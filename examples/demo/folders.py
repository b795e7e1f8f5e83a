"""Where the demo keeps its data: ``examples/demo/.data``, or the folder in DEMO_DATA."""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("DEMO_DATA") or HERE / ".data").absolute()
ORDERS_CSV = DATA / "orders.csv"
SHOP_DB = DATA / "shop.db"  # the shop's own table, filled by the import
OPERATIONS_DB = DATA / "operations.db"  # Raincheck's store
RENDERED = DATA / "rendered"


def make_folders() -> None:
    """Make the data folders; existing ones are fine."""
    RENDERED.mkdir(parents=True, exist_ok=True)
