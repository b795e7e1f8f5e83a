"""Texts that somebody wrote in order to be shown to, or written down for, an operator."""

from __future__ import annotations

import logging

import pytest
from fastapi import FastAPI, Response
from fastapi.testclient import TestClient

from raincheck import Raincheck

FORGED = "op_1\nraincheck.audit ada: delete op_2"
API = "/dashboard/api"


@pytest.fixture
def client():
    """A client of an application whose page lets everybody look."""
    app = FastAPI()
    rain = Raincheck(app, store="memory:", dashboard=lambda: "eve\nada")

    @rain.post("/files")
    async def file(disposition: str) -> Response:
        return Response("<p>", media_type="text/html", headers={"Content-Disposition": disposition})

    with TestClient(app) as made:
        yield made


@pytest.mark.parametrize("action", ["cancel", "retry", "submitted"])
def test_an_audit_line_stays_one_line(client, caplog, action):
    """Neither the id in a path nor the name of a visitor begins a line that somebody else seems to have caused."""
    with caplog.at_level(logging.INFO, "raincheck.audit"):
        answer = client.post(f"{API}/operations/{FORGED.replace(chr(10), '%0A')}/{action}")
    assert answer.status_code == 403
    (line,) = [each.getMessage() for each in caplog.records if each.name == "raincheck.audit"]
    assert "delete op_2" in line
    assert line.isprintable()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("inline", "attachment"),
        ("INLINE", "attachment"),
        ('inline; filename="a.html"', 'attachment; filename="a.html"'),
        ('attachment; filename="inline-report.html"', 'attachment; filename="inline-report.html"'),
        ("x-unknown; filename=a", "attachment; filename=a"),
    ],
)
def test_a_result_is_downloaded_under_its_own_name(client, given, shown):
    """However the function wanted it shown."""
    submitted = client.post("/files", params={"disposition": given}, headers={"Prefer": "wait=10"})
    answer = client.get(f"{API}/operations/{submitted.headers['operation-id']}/result")
    assert answer.headers["content-disposition"] == shown
