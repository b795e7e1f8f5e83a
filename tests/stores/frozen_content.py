"""One of everything that a store keeps, each under a name: submitted by requests, then brought on by the rules.

The clock stands still, and ids and all else that is drawn at random come from a count, so that the same code writes the
same rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from fastapi.testclient import TestClient

from raincheck.core import delivery_rules, transitions
from raincheck.core.deliveries import Attempt, Health
from raincheck.core.dispatch_rules import Terms
from raincheck.core.endpoints import Endpoint
from raincheck.core.events import LogLine, Output
from raincheck.core.names import RANDOM_BYTES, operation_id
from raincheck.core.operation import Operation, Problem, Progress, StoredResult
from raincheck.core.trace_context import TraceContext
from raincheck.core.transitions import Change
from raincheck.ports import Ticket
from raincheck.ports_deliveries import DeliveryClaim
from raincheck.settings import Settings
from raincheck.storage import Storage, open_storage
from raincheck.stores.postgres.clock import DatabaseClock
from tests.stores.frozen_application import application

NOW = datetime.fromisoformat("2026-01-31T12:00:00+00:00")
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WORKER = "frozen-worker"
OWNER = "ada"
HOOK = "https://hooks.example.invalid/all"  # a name that never resolves
HOOKS = {
    name: f"https://hooks.example.invalid/{name}" for name in ("pending", "sending", "paused", "delivered", "given-up")
}
TICKETS = {"unused": "rct_unused", "used": "rct_used"}
PROBLEM = Problem(code="out-of-paper", title="The printer has no paper", status=409, extensions={"tray": 2})
PRINTED = {"sheets": 6, "title": "päges on a4", "tone": "plain", "team": "team of ada"}
RESULT = StoredResult(
    media_type="application/json",
    headers=(("x-pages", "6"),),
    body=b'{"sheets":6,"title":"p\\u00e4ges on a4","tone":"plain","team":"team of ada"}',
    size=76,
    etag='"abc"',
)
COPY = b"a copy of the whole text"
TRACES = {
    "queued": TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    "retrying": TraceContext("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00", "rojo=00f067aa0ba902b7"),
}
TERMS = Terms(delays=True)  # of the engine under which what begins is queued again
QUEUED_AGAIN = ("lost", "retrying")

UNFINISHED = ("queued", "retrying", "lost", "running", "cancelling", "scheduled", "uploaded", "limited")
FINISHED = ("succeeded", "failed", "cancelled", "copied", "timed-out", "failed-http")


@contextlib.contextmanager
def at(clock: Callable[[], datetime]) -> Iterator[None]:
    """Let every store judge by this clock."""
    with patch("raincheck.storage._now", clock), patch.object(DatabaseClock, "now", lambda _: clock()):
        yield


class _Counted:
    """Stands in for the maker of random ids."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def at(self, milliseconds: int) -> str:
        entropy = hashlib.shake_128(str(next(self._numbers)).encode()).digest(RANDOM_BYTES)
        return operation_id(milliseconds=milliseconds, entropy=entropy)


def fill(store: str) -> None:
    """Write one of everything into an empty store."""
    counted = _Counted()
    with at(lambda: NOW), patch("raincheck.parts.Ids", lambda: counted), served(store) as client:
        ids = _submitted(client)
    with at(lambda: NOW):
        asyncio.run(_brought_on(store, ids))
    with at(lambda: NOW + 3 * SECOND), patch("raincheck.parts.Ids", lambda: counted), served(store) as client:
        rerun = client.post(f"/operations/{ids['failed']}/retry", headers={"Idempotency-Key": "rerun"})
        assert rerun.status_code == 202, rerun.text


@contextlib.contextmanager
def served(store: str, *, workers: bool = False) -> Iterator[TestClient]:
    """Serve the application on a store to its owner."""
    with tempfile.TemporaryDirectory() as folder:
        app = application(store, folder=Path(folder), workers=workers)
        with TestClient(app, headers={"X-User": OWNER}) as client:
            yield client


def _submitted(client: TestClient) -> dict[str, str]:
    """Submit an operation for each name; the key and a tag of it are the name."""
    ids: dict[str, str] = {}

    def submit(name: str, path: str = "/reports/a4?copies=2", *, files: Any = None, **headers: str) -> None:
        body: dict[str, Any] = {"json": {"pages": 3, "title": "päges"}}
        if files is not None:
            body = {"data": {"title": "a copy"}, "files": files}
        named = {"Idempotency-Key": name, "Operation-Metadata": f'was="{name}"'}
        if name in TRACES:
            named |= {"traceparent": TRACES[name].traceparent, "tracestate": TRACES[name].tracestate}
        dashed = {key.replace("_", "-"): value for key, value in headers.items()}
        answer = client.post(path, headers=named | dashed, **body)
        assert answer.status_code == 202, answer.text
        ids[name] = answer.json()["id"]

    for name in ("queued", "retrying", "lost", "running", "cancelling", "succeeded", "cancelled", "deleted", "expired"):
        submit(name)
    submit("scheduled", Operation_Delay="86400")
    submit("limited", Operation_Timeout="7200")
    submit("timed-out", Operation_Timeout="1")
    submit("failed", "/refusals")
    submit("failed-http", "/refusals")
    boundary = {"Content-Type": "multipart/form-data; boundary=frozen"}
    for name in ("uploaded", "copied"):
        submit(name, "/uploads", files={"file": ("täxt.txt", b"the whole text", "text/plain")}, **boundary)
    events = "operation.started, operation.failed, operation.succeeded"
    for name, url in HOOKS.items():
        submit(f"calls-{name}", Callback_Url=url, Callback_Events=events)
    return ids


async def _brought_on(store: str, ids: dict[str, str]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        storage = await open_storage(Settings(store=store).location, stack)
        await storage.store.set_endpoints([Endpoint(HOOK)])
        storage.store.set_terms(TERMS)
        await _each_status(storage, ids)
        await _webhooks(storage, ids)
        for name, text in TICKETS.items():
            digest = hashlib.sha256(text.encode()).hexdigest()
            await storage.store.issue(Ticket(digest, ids["running"], OWNER, NOW + DAY), now=NOW)
            if name == "used":
                await storage.store.use(digest, resuming=False, now=NOW, until=NOW + DAY)
        # Last, since what has expired is removed.
        await _changed(storage, ids["expired"], partial(transitions.succeed, run=1, result=RESULT, now=NOW - 60 * DAY))
        await storage.store.prune(NOW)


async def _changed(storage: Storage, operation_id: str, transition: Callable[[Operation], Change | None]) -> None:
    await storage.store.change(operation_id, transition)


async def _each_status(storage: Storage, ids: dict[str, str]) -> None:
    """Bring each operation to the status that its name tells."""

    async def to(name: str, transition: Callable[..., Change | None], **keywords: Any) -> None:
        now = keywords.pop("now", NOW + SECOND)
        await _changed(storage, ids[name], lambda found: transition(found, now=now, **keywords))

    begun = ("retrying", "lost", "running", "cancelling", "succeeded", "cancelled", "deleted", "expired")
    for name in (*begun, "failed", "failed-http", "copied"):
        await to(name, transitions.claim, worker=WORKER, lease_until=NOW + 15 * SECOND, now=NOW)
    entries = [Output(chunk='{"run": 1}'), LogLine(level="warning", message="half-wäy"), Output(chunk='{"run": 1}')]
    half = Progress(fraction=0.5, current=1, total=2, unit="pages", message="half", stage="printing")
    for name in ("running", "succeeded"):
        await to(name, transitions.record, run=1, entries=entries, progress=half)
    await to(
        "retrying", transitions.fail, run=1, error=PROBLEM, traceback="Traceback: out of paper", retry_at=NOW + HOUR
    )
    await to("lost", transitions.lose, run=1)
    await to("cancelling", transitions.request_cancel)
    await to("succeeded", transitions.succeed, run=1, result=RESULT, now=NOW + 2 * SECOND)
    await to("cancelled", transitions.request_cancel)
    await to("cancelled", transitions.release, run=1)
    await to("failed", transitions.fail, run=1, error=PROBLEM)
    in_http = Problem(
        code="http-error", title="Conflict", status=409, http_detail='{"tray": 2}', headers=(("x-tray", "2"),)
    )
    await to("failed-http", transitions.fail, run=1, error=in_http)
    await to("timed-out", transitions.expire_deadline)
    await to("copied", transitions.succeed, run=1, result=await _a_file(storage, ids["copied"]))
    await to("deleted", transitions.succeed, run=1, result=RESULT)
    await storage.store.delete(ids["deleted"], check=transitions.refuse_delete, now=NOW)


async def _a_file(storage: Storage, operation_id: str) -> StoredResult:
    name = f"{operation_id}/1/result"
    staging = storage.blobs.staging(operation_id, 1)
    staging.mkdir(parents=True, exist_ok=True)
    (staging / "copy").write_bytes(COPY)
    blob = await storage.blobs.adopt(name, staging / "copy")
    with contextlib.suppress(OSError):
        staging.rmdir()
    headers = (("content-disposition", 'attachment; filename="copy.txt"'),)
    return StoredResult(media_type="text/plain", headers=headers, blob=name, size=blob.size, etag=f'"{blob.sha256}"')


async def _webhooks(storage: Storage, ids: dict[str, str]) -> None:
    """Bring one delivery of each operation that calls back to the status that its URL tells."""
    store = storage.store
    for name in HOOKS:
        claimed = partial(transitions.claim, worker=WORKER, lease_until=NOW + 15 * SECOND, now=NOW)
        await _changed(storage, ids[f"calls-{name}"], claimed)
    wanted = DeliveryClaim(
        worker=WORKER,
        webhooks=(HOOK,),
        callbacks=True,
        limit=10,
        room=10,
        lease_until=NOW + 60 * SECOND,
        now=NOW + SECOND,
    )
    attempts = {
        "delivered": Attempt(status=204, latency=SECOND),
        "given-up": Attempt(status=410, latency=SECOND, excerpt="gone för good"),
        "pending": Attempt(failure="unreachable", latency=SECOND, detail="nobody listens"),
    }
    for delivery in await store.lease_deliveries(wanted):
        name = delivery.url.rpartition("/")[2]
        if name in attempts:
            settled = partial(
                delivery_rules.settle, run=1, attempt=attempts[name], began=NOW, now=NOW + 2 * SECOND, chance=0.5
            )
            await store.change_delivery(delivery.id, settled)
        elif name == "paused":
            await store.change_delivery(delivery.id, partial(delivery_rules.release, run=1))
    disabled = Health(
        url=HOOKS["paused"], failing_since=NOW - 5 * DAY, last_failed_at=NOW, disabled_at=NOW, reason="dead"
    )
    await store.change_endpoint(HOOKS["paused"], lambda _: disabled)
