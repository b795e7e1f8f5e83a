"""Freezes the stores of this release's schema, for the releases to come: ``python -m tests.stores.freeze``.

Run it once for each new migration, when the release is made, and commit what it writes below ``frozen/``:

- ``<store>-<number>/database.sql``: one of everything that a store keeps, as SQL text, so that a reviewer sees it; of
  PostgreSQL the rows alone, since its tables come from the frozen migrations; beside it the files of a SQLite store;
- ``migrations.sha256``: the migrations that databases out there have seen.

Nothing frozen is ever written again. Two runs write the same, so that a difference is a difference of the code.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import raincheck.stores
from raincheck.locations import PostgresDatabase, location
from raincheck.stores.postgres import opening as postgres_opening
from raincheck.stores.postgres.connecting import connect
from raincheck.stores.sqlite import opening as sqlite_opening
from raincheck.stores.sqlite.store import side_folder
from tests.stores.frozen_content import fill

FOLDER = Path(__file__).with_name("frozen")
HASHES = FOLDER / "migrations.sha256"
MIGRATIONS = Path(raincheck.stores.__file__).parent
_MARKS = ("user_version", "application_id")  # which a dump of SQLite leaves out


def main() -> None:
    """Freeze what is not frozen yet."""
    from tests.postgres.server import PostgresServer

    with tempfile.TemporaryDirectory() as folder, contextlib.closing(PostgresServer()) as server:
        sqlite = FOLDER / f"sqlite-{sqlite_opening.newest_schema():04}"
        postgres = FOLDER / f"postgres-{postgres_opening.newest_schema():04}"
        for target, freeze in ((sqlite, freeze_sqlite), (postgres, freeze_postgres)):
            if target.exists():
                print(f"{target.name} is frozen already")  # noqa: T201 - run by hand
                continue
            place = server.url() if freeze is freeze_postgres else Path(folder) / "frozen.db"
            target.mkdir(parents=True)
            freeze(place, target)  # type: ignore[operator]
    frozen = frozen_hashes()
    HASHES.write_text("".join(f"{hashed}  {name}\n" for name, hashed in sorted((hashes() | frozen).items())))


# --- migrations -----------------------------------------------------------------------------------------------------


def hashes() -> dict[str, str]:
    """Return the migrations of this release, as ``sqlite/migrations/0001_operations.sql``, with their SHA-256."""
    found = MIGRATIONS.glob("*/migrations/*.sql")
    return {each.relative_to(MIGRATIONS).as_posix(): hashlib.sha256(each.read_bytes()).hexdigest() for each in found}


def frozen_hashes() -> dict[str, str]:
    """Return the migrations of released schemas with their SHA-256."""
    lines = HASHES.read_text().splitlines() if HASHES.exists() else []
    return {name: hashed for hashed, _, name in (line.partition("  ") for line in lines)}


# --- SQLite ---------------------------------------------------------------------------------------------------------


def freeze_sqlite(path: Path, target: Path) -> None:
    """Fill a new database file and keep it, with the files beside it."""
    fill(f"sqlite:///{path}")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        marks = [f"PRAGMA {name} = {connection.execute(f'PRAGMA {name}').fetchone()[0]};" for name in _MARKS]
        (target / "database.sql").write_text("\n".join([*connection.iterdump(), *marks, ""]), encoding="utf-8")
    shutil.copytree(side_folder(path) / "blobs", target / "blobs")


def thaw_sqlite(frozen: Path, path: Path) -> None:
    """Make the database file of a frozen folder."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript((frozen / "database.sql").read_text(encoding="utf-8"))
    shutil.copytree(frozen / "blobs", side_folder(path) / "blobs")


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


def freeze_postgres(url: str, target: Path) -> None:
    """Fill a new schema and keep its rows."""
    fill(url)
    (target / "database.sql").write_text(asyncio.run(_rows(_database(url))), encoding="utf-8")


def thaw_postgres(frozen: Path, url: str) -> None:
    """Make the schema as it was, by the migrations up to the frozen one, and fill it."""
    number = int(frozen.name.rpartition("-")[2])
    with _only_migrations(number):
        asyncio.run(_thawed(_database(url), (frozen / "database.sql").read_text(encoding="utf-8")))


def _database(url: str) -> PostgresDatabase:
    found = location(url)
    assert isinstance(found, PostgresDatabase)
    return found


async def _rows(database: PostgresDatabase) -> str:
    connection = await connect(database)
    lines = []
    for table in _own_tables():
        named = f"{database.schema}.{table}"
        columns = (
            "SELECT attname::text FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 ORDER BY attnum"
        )
        names = [name for (name,) in await connection.fetch(columns, named)]
        texts = " || ', ' || ".join(f"quote_nullable({name})" for name in names)
        for (values,) in await connection.fetch(f"SELECT {texts} FROM {named} ORDER BY 1"):
            lines.append(f"INSERT INTO {{schema}}.{table} ({', '.join(names)}) VALUES ({values});\n")
    await connection.close()
    return "".join(lines)


def _own_tables() -> list[str]:
    """Return the tables that migrations make; an engine keeps its own beside them."""
    texts = [path.read_text() for path in (MIGRATIONS / "postgres" / "migrations").glob("*.sql")]
    return sorted({name for text in texts for name in re.findall(r"CREATE TABLE (?:\{schema\}\.)?(\w+)", text)})


async def _thawed(database: PostgresDatabase, rows: str) -> None:
    connection = await connect(database)
    await postgres_opening.migrate(connection, database)
    await connection.execute(rows.replace("{schema}", database.schema))
    await connection.close()


@contextlib.contextmanager
def _only_migrations(last: int) -> Iterator[None]:
    """Know the migrations of an older release only."""
    known: Callable[[], list[tuple[int, str]]] = postgres_opening._migrations
    postgres_opening._migrations = lambda: [each for each in known() if each[0] <= last]
    try:
        yield
    finally:
        postgres_opening._migrations = known


if __name__ == "__main__":
    sys.exit(main())
