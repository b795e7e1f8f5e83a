"""Uploads and large results where the web node and the worker share a database and no disk."""

from __future__ import annotations

import asyncio
import hashlib
import os
from datetime import timedelta

import httpx2
import pytest
from fastapi import FastAPI, UploadFile
from fastapi.responses import FileResponse

from raincheck import OperationContext, Raincheck
from raincheck.settings import Settings

pytestmark = pytest.mark.anyio
LARGE = 5 * (1 << 20) + 17  # six pieces, the last one short
PATIENCE = 30.0


def machine(url: str, folder, *, workers: bool, max_body: int = 100 << 20) -> tuple[FastAPI, Raincheck]:
    """Return the application as one machine runs it, with a folder of its own."""
    app = FastAPI()
    settings = Settings(store=url, lease=timedelta(seconds=3), max_body=max_body)
    rain = Raincheck(app, workers=workers, settings=settings)

    @rain.post("/backwards", response_class=FileResponse)
    def backwards(file: UploadFile, op: OperationContext) -> FileResponse:
        folder.mkdir(exist_ok=True)
        made = folder / op.id
        made.write_bytes(file.file.read()[::-1])
        return FileResponse(made, media_type="application/octet-stream")

    return app, rain


def rows(postgres, url: str) -> list[int]:
    """Return how many files and pieces of files the database has."""
    schema = url.rpartition("=")[2]
    return [int(postgres.psql(f"SELECT count(*) FROM {schema}.{table}")) for table in ("blobs", "blob_pieces")]


async def test_an_upload_is_worked_on_elsewhere_and_its_large_result_is_read_here(postgres, postgres_url, tmp_path):
    """Through the database alone, also in parts; both go with the operation."""
    sent = os.urandom(LARGE)
    app, web = machine(postgres_url, tmp_path / "web", workers=False)
    _, worker = machine(postgres_url, tmp_path / "worker", workers=True)
    transport = httpx2.ASGITransport(app=app)
    async with web.running(app), worker.working(), httpx2.AsyncClient(transport=transport, base_url="http://w") as http:
        answer = await http.post("/backwards", files={"file": ("a.bin", sent)})
        assert answer.status_code == 202, answer.text
        place = f"/operations/{answer.json()['id']}"
        async with asyncio.timeout(PATIENCE):
            while not (found := (await http.get(place)).json())["done"]:
                await asyncio.sleep(0.05)
        assert found["status"] == "succeeded", found
        result = await http.get(f"{place}/result")
        assert hashlib.sha256(result.content).digest() == hashlib.sha256(sent[::-1]).digest()
        part = await http.get(f"{place}/result", headers={"Range": "bytes=1048570-1048585"})
        assert (part.status_code, part.content) == (206, sent[::-1][1048570:1048586])
        assert not (tmp_path / "web").exists(), "the function ran on the other machine"
        assert await asyncio.to_thread(rows, postgres, postgres_url) == [2, 12]
        assert (await http.delete(place)).status_code == 204
        assert await asyncio.to_thread(rows, postgres, postgres_url) == [0, 0]


async def test_what_is_too_large_leaves_nothing_in_the_database(postgres, postgres_url, tmp_path):
    """It is refused while it comes; the pieces that were written already are dropped."""
    app, web = machine(postgres_url, tmp_path / "web", workers=False, max_body=2 << 20)
    transport = httpx2.ASGITransport(app=app)
    async with web.running(app), httpx2.AsyncClient(transport=transport, base_url="http://w") as http:
        answer = await http.post("/backwards", files={"file": ("a.bin", os.urandom(LARGE))})
        assert answer.status_code == 413, answer.text
        assert await asyncio.to_thread(rows, postgres, postgres_url) == [0, 0]
