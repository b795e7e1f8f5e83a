"""Stores made by the real SqliteStore, and the command line run on them."""

from __future__ import annotations

import asyncio

import pytest
from typer.testing import CliRunner

from raincheck.cli import app
from raincheck.stores.sqlite import SqliteStore


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Return where the environment says that the store is; there is no file yet."""
    file = tmp_path / "raincheck.db"
    monkeypatch.setenv("RAINCHECK_STORE", f"sqlite:///{file}")
    return file


@pytest.fixture
def fill(path):
    """Return a function that runs a coroutine function on the opened store, and closes the store again."""

    async def opened(work):
        store = SqliteStore(path)
        await store.open()
        try:
            return await work(store)
        finally:
            await store.close()

    return lambda work: asyncio.run(opened(work))


@pytest.fixture
def raincheck():
    """Return a function that runs the command line in this process."""
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, [str(each) for each in arguments])
