"""Operations in one SQLite file."""

from raincheck.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
