"""The probes as an orchestrator sees them."""

from __future__ import annotations

import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.testclient import TestClient

from raincheck import Raincheck, Settings
from raincheck.core.errors import StoreUnavailable


def nobody() -> None:
    """Refuse everyone."""
    raise HTTPException(401)


def application(**options):
    """Return an application whose every route is guarded."""
    app = FastAPI(dependencies=[Depends(nobody)])
    rain = Raincheck(app, store="memory:", dependencies=[Depends(nobody)], **options)
    return app, rain


def test_probes_need_no_credentials_and_are_not_cached():
    """Guards of the application and of the operations do not run before them."""
    app, _ = application()
    with TestClient(app) as client:
        for name, status in (("live", "live"), ("ready", "ready")):
            answer = client.get(f"/health/{name}")
            assert (answer.status_code, answer.json()) == (200, {"status": status})
            assert answer.headers["cache-control"] == "no-store"
            assert client.head(f"/health/{name}").status_code == 200
            assert client.post(f"/health/{name}").status_code == 405
        assert client.get("/operations/op_00000000000000000000000000000000").status_code == 401


def test_probes_are_below_the_prefix_and_not_in_the_document():
    """No client calls them, so no generated client has them."""
    app, _ = application(prefix="/api")
    with TestClient(app) as client:
        assert client.get("/api/health/ready").status_code == 200
        assert client.get("/health/ready").status_code == 404
    assert not [path for path in app.openapi()["paths"] if "health" in path]


def test_before_and_after_the_lifespan_the_process_is_alive_and_not_ready():
    """A server that is still starting must neither be restarted nor get requests."""
    app, _ = application()
    client = TestClient(app)
    for _ in range(2):
        assert client.get("/health/live").status_code == 200
        refused = client.get("/health/ready")
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json() == {
            "type": "urn:raincheck:problem:not-ready",
            "title": "This process is not ready",
            "status": 503,
            "detail": "The application is starting, or has ended.",
        }
        with client:
            assert client.get("/health/ready").status_code == 200


def test_a_store_that_cannot_be_read_makes_it_unready_and_keeps_it_alive(monkeypatch):
    """A restart would not repair the store, so only readiness says it."""
    app, rain = application()

    async def away(*, limit):
        raise StoreUnavailable("sqlite:///secret.db is away")

    with TestClient(app) as client:
        store = rain._gateway.serving.tickets
        monkeypatch.setattr(store, "queue_depth", away)
        refused = client.get("/health/ready")
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert "cannot be read" in refused.json()["detail"]
        assert "secret" not in refused.text
        assert client.get("/health/live").status_code == 200


def test_a_draining_process_says_so():
    """From the signal on, before the lifespan ends."""
    app, rain = application()
    with TestClient(app) as client:
        rain._gateway.serving.service.draining = True
        assert "shutting down" in client.get("/health/ready").json()["detail"]


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_probes_can_be_switched_off(path, monkeypatch):
    """The setting leaves the paths to the application."""
    monkeypatch.setenv("RAINCHECK_HEALTH", "false")
    app, _ = application(settings=Settings())
    with TestClient(app) as client:
        assert client.get(path).status_code == 404
