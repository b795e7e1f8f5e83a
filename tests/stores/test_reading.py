"""What becomes of a read that the database refuses."""

from __future__ import annotations

import contextlib
import logging
import sqlite3

import pytest

from raincheck.core.errors import StoreUnavailable
from raincheck.stores.sqlite.reader import Readers


@pytest.mark.anyio
async def test_a_refused_read_tells_its_caller_nothing_and_its_operator_why(tmp_path, caplog):
    """The caller gets 503 without a word of the database; without a log line nobody would learn what is wrong."""
    path = tmp_path / "raincheck.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE operations (id TEXT)")
    readers = Readers(path)
    try:
        with caplog.at_level(logging.ERROR, "raincheck.store"), pytest.raises(StoreUnavailable) as refused:
            await readers.read(lambda connection: connection.execute("SELECT secret FROM operations"))
        assert "secret" not in str(refused.value)
        (record,) = caplog.records
        assert "no such column: secret (SQLITE_ERROR)" in record.getMessage()
    finally:
        readers.close()
