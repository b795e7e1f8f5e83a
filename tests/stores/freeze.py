"""Freezes a database of this release's schema, for the releases to come: ``python -m tests.stores.freeze``.

Run it once for each new migration, when the release is made, and commit the file: ``test_frozen.py`` opens all of
them. It is SQL text, so that a reviewer sees what it holds. A frozen file is never written again.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
import tempfile
from pathlib import Path

from raincheck.core import transitions
from raincheck.core.events import LogLine, Output
from raincheck.core.operation import Progress, Status
from raincheck.stores.sqlite import SqliteStore
from raincheck.stores.sqlite.opening import newest_schema
from raincheck.testing.conformance.specimens import DAY, NOW, PROBLEM, SECOND, brought_to, start, submitted, succeed

FOLDER = Path(__file__).with_name("frozen")


async def fill(path: Path) -> None:
    """Write one operation of each status, and of each way to get there."""
    store = SqliteStore(path)
    await store.open()
    try:
        for status in Status:
            await brought_to(store, status, kind=f"is-{status}", owner="ada", metadata={"was": status})
        told = await submitted(store, kind="told", input='{"body": "päges"}', retention=400 * DAY)
        await start(store, told.id)
        entries = [
            Output(chunk='{"chunk": 1}'),
            LogLine(level="info", message="half-way"),
            Output(chunk='{"chunk": 2}'),
        ]
        await store.change(
            told.id,
            lambda found: transitions.record(
                found, run=1, entries=entries, progress=Progress(fraction=0.5, message="half"), now=NOW + SECOND
            ),
        )
        await succeed(store, told.id, now=NOW + 2 * SECOND)
        retried = await submitted(store, kind="retried", max_attempts=3)
        await start(store, retried.id)
        again = NOW + 60 * SECOND
        await store.change(
            retried.id, lambda found: transitions.fail(found, run=1, error=PROBLEM, retry_at=again, now=NOW)
        )
        lost = await submitted(store, kind="lost")
        await start(store, lost.id)
        await store.change(lost.id, lambda found: transitions.lose(found, run=1, now=NOW))
        await submitted(store, kind="keyed", idempotency_key="key", fingerprint="print")
        await submitted(store, kind="later", scheduled_for=NOW + DAY, run_at=NOW + DAY, deadline_at=NOW + 2 * DAY)
        gone = await brought_to(store, Status.SUCCEEDED, kind="gone", idempotency_key="gone", fingerprint="print")
        await store.delete(gone.id, check=transitions.refuse_delete, now=NOW)
    finally:
        await store.close()


def main() -> None:
    """Write the file of the newest schema, unless there is one."""
    target = FOLDER / f"schema-{newest_schema():04}.sql"
    if target.exists():
        sys.exit(f"{target} is frozen; a change of the schema is a new migration with a file of its own")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frozen.db"
        asyncio.run(fill(path))
        target.write_text(dumped(path), encoding="utf-8")


def dumped(path: Path) -> str:
    """Return a database as SQL, with the two marks that a dump leaves out."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        marks = [f"PRAGMA {name} = {connection.execute(f'PRAGMA {name}').fetchone()[0]};" for name in MARKS]
        return "\n".join([*connection.iterdump(), *marks, ""])


def thawed(frozen: Path, path: Path) -> None:
    """Make the database of a frozen file."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(frozen.read_text(encoding="utf-8"))


MARKS = ("user_version", "application_id")

if __name__ == "__main__":
    main()
