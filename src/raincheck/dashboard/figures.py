"""What the page shows beside the operations themselves: figures, workers, and what clients never see."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from raincheck.core import wire
from raincheck.core.errors import MalformedRequest
from raincheck.core.moments import rfc3339
from raincheck.own_threads import in_own_thread

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from raincheck.core.operation import Operation
    from raincheck.core.overview import Finished, Overview
    from raincheck.fastapi.serving import Serving
    from raincheck.ports_functions import Kind

# Minutes of the window -> seconds of a bucket: sixty to ninety-six points, which a chart can show.
WINDOWS = {15: 15, 60: 60, 360: 300, 1440: 900, 10_080: 7200}
_LONGEST_INPUT = 64 * 1024


def window(text: str | None) -> tuple[timedelta, timedelta]:
    """Read ``?minutes=``; return the window and the length of its buckets.

    :raises MalformedRequest: there is no such window.
    """
    minutes = 60 if text is None else int(text) if text.isdecimal() and len(text) < 6 else 0  # noqa: PLR2004
    if minutes not in WINDOWS:
        detail = f"minutes must be one of {', '.join(map(str, WINDOWS))}."
        raise MalformedRequest(detail)
    return timedelta(minutes=minutes), timedelta(seconds=WINDOWS[minutes])


class Figures:
    """Counts at most a tenth of the time, however many tabs ask: a large window takes a second of a core."""

    def __init__(self) -> None:
        self._locks: dict[timedelta, asyncio.Lock] = {}
        self._counted: dict[timedelta, tuple[float, dict[str, Any]]] = {}

    async def of(self, parts: Serving, *, length: timedelta, bucket: timedelta) -> dict[str, Any]:
        """Return the figures of a window, counted now or lately; ``now`` in them says when."""
        loop = asyncio.get_running_loop()
        async with self._locks.setdefault(length, asyncio.Lock()):
            until, found = self._counted.get(length, (0.0, {}))
            began = loop.time()
            if began < until:
                return found
            found = await _overview(parts, length=length, bucket=bucket)
            ended = loop.time()
            self._counted[length] = (ended + 9 * (ended - began), found)
            return found


async def _overview(parts: Serving, *, length: timedelta, bucket: timedelta) -> dict[str, Any]:
    """Return the figures of a window that ends with the bucket under way."""
    now = parts.clock()
    step = bucket.total_seconds()
    end = (now.timestamp() // step + 1) * step
    since = type(now).fromtimestamp(end, tz=now.tzinfo) - length
    found = await parts.overview.overview(now=now, since=since, bucket=bucket)
    return {
        "now": rfc3339(now),
        "since": rfc3339(since),
        "bucket_seconds": int(step),
        "queued": found.queued,
        "scheduled": found.scheduled,
        "running": found.running,
        "cancelling": found.cancelling,
        "oldest_due": None if found.oldest_due is None else rfc3339(found.oldest_due),
        "finished": _finished(found.finished),
        "series": _series(found, since=since, bucket=bucket, length=length),
        "kinds": [
            {"kind": each.kind, "queued": each.queued, "running": each.running, **_finished(each.finished)}
            for each in found.kinds
        ],
        "cut": found.cut,
    }


def _series(found: Overview, *, since: datetime, bucket: timedelta, length: timedelta) -> dict[str, list[Any]]:
    """Return columns, as charts take them, with the empty buckets filled in."""
    by_start = dict(found.buckets)
    starts = [since + place * bucket for place in range(length // bucket)]
    rows = [(start, by_start.get(start)) for start in starts]
    return {
        "time": [int(start.timestamp()) for start in starts],
        "succeeded": [each.succeeded if each else 0 for _, each in rows],
        "failed": [each.failed if each else 0 for _, each in rows],
        "cancelled": [each.cancelled if each else 0 for _, each in rows],
        "p50": [each.times.p50 if each else None for _, each in rows],
        "p95": [each.times.p95 if each else None for _, each in rows],
    }


def _finished(found: Finished) -> dict[str, Any]:
    return {
        "succeeded": found.succeeded,
        "failed": found.failed,
        "cancelled": found.cancelled,
        "p50": found.times.p50,
        "p95": found.times.p95,
    }


async def workers(parts: Serving, links: wire.Links) -> list[dict[str, Any]]:
    """Return who works: each worker that is known, when its leases were renewed, and what it runs."""
    held: dict[str, list[Operation]] = {}
    for operation in await parts.overview.held():
        held.setdefault(operation.worker or "", []).append(operation)
    names = sorted({*held, *parts.liveness.workers()})
    dead = await asyncio.gather(*(in_own_thread(parts.liveness.is_dead, name) for name in names))
    found = []
    for name, is_dead in zip(names, dead, strict=True):
        runs = held.get(name, [])
        leases = [each.lease_until for each in runs if each.lease_until is not None]
        found.append(
            {
                "name": name,
                "dead": is_dead,
                # A lease is renewed as a whole, so its end says when that was.
                "renewed_at": rfc3339(max(leases) - parts.lease) if leases else None,
                "lease_until": rfc3339(min(leases)) if leases else None,
                "operations": [as_item(each, parts, links) for each in runs],
            },
        )
    return found


def as_item(operation: Operation, parts: Serving, links: wire.Links) -> dict[str, Any]:
    """Return an operation as a list shows it, with what only operators see."""
    advice = parts.service.poll_after(operation)
    item: dict[str, Any] = json.loads(wire.resource(operation, links=links, poll_after=advice, with_result=False))
    return item | {"owner": operation.owner, "worker": operation.worker, "queue": operation.queue, "run": operation.run}


def details(operation: Operation, kind: Kind | None) -> dict[str, Any]:
    """Return what clients never see: where it runs, what was asked, and why it failed."""
    result = operation.result
    return {
        "owner": operation.owner,
        "worker": operation.worker,
        "run": operation.run,
        "losses": operation.losses,
        "max_losses": operation.max_losses,
        "lease_until": None if operation.lease_until is None else rfc3339(operation.lease_until),
        "queue": operation.queue,
        "priority": operation.priority,
        "executor": None if kind is None else kind.executor,
        "idempotency_key": operation.idempotency_key,
        "output_events": operation.output_events,
        "input": _stored(operation.input),
        "traceback": operation.traceback,
        "result": None
        if result is None
        else {
            "status_code": result.status_code,
            "media_type": result.media_type,
            "size": result.size,
            "file": result.blob is not None,
        },
    }


def _stored(text: str) -> Mapping[str, Any]:
    """Return the stored request, without bodies that no screen can show."""
    record: dict[str, Any] = json.loads(text)
    record.pop("depends", None)  # values of the application's own dependencies, such as its users
    for name in ("body", "base64"):
        if isinstance(record.get(name), str) and len(record[name]) > _LONGEST_INPUT:
            record[name] = record[name][:_LONGEST_INPUT]
            record["cut"] = True
    return record
