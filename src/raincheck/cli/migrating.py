"""``raincheck migrate``: make the tables with the rights of whoever runs it, and stop."""

from __future__ import annotations

import asyncio
import contextlib

from raincheck.cli.view import store_location
from raincheck.storage import open_storage


def migrate_store(url: str | None) -> None:
    """Open the store once, which makes what is missing.

    :raises StoreError: it cannot be opened, or this role may not change its tables.
    """
    location = store_location(url)

    async def opened() -> None:
        async with contextlib.AsyncExitStack() as stack:
            await open_storage(location, stack)

    asyncio.run(opened())
    print(f"{getattr(location, 'path', location)} is up to date.")
