"""Write the server's part of tests/wire: what clients in any language must be able to read.

python tools/generate_wire_vectors.py            # write the files
python tools/generate_wire_vectors.py --check    # fail if one is out of date
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from raincheck.core import errors, wire
from raincheck.core.events import Event, EventType, LogLine, Output, entry_data, progress_data, status_data
from raincheck.core.operation import Operation, Problem, Progress, Status, StoredResult
from raincheck.fastapi.frames import PING, frame, retry_line

FOLDER = Path(__file__).parent.parent / "tests" / "wire"
LINKS = wire.Links("/api/operations")
NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOSTILE = 'one\r\ntwo\n\nid: 99\nevent: done\ndata: {}\n\n\u2028three\x00\x85é🌧 "quoted" \\ </script>'
ACCEPTED = Operation(
    id="op_06H0JHQ7PTG7NQSN366ED6PBE9V07KZY", kind="build_report", created_at=NOW, updated_at=NOW, run_at=NOW
)
RUNNING = replace(
    ACCEPTED, status=Status.RUNNING, version=2, run=1, attempt=1, started_at=NOW + SECOND, updated_at=NOW + SECOND
)
HALFWAY = Progress(fraction=0.25, current=1, total=4, unit="pages", message="rendering é🌧", stage="draw")


def story() -> list[tuple[str, Operation, dict[str, Any]]]:
    """Return operations in every status, each with what its resource is rendered with."""
    ended = {"version": 9, "updated_at": NOW + 9 * SECOND, "finished_at": NOW + 9 * SECOND}
    ended |= {"expires_at": NOW + timedelta(days=7)}
    progressed = {"progress": HALFWAY, "progress_version": 3, "progress_run": 1, "progress_at": NOW + 3 * SECOND}
    advice = {"poll_after": timedelta(milliseconds=1500)}
    waiting = replace(RUNNING, status=Status.QUEUED, version=4, max_attempts=3, run_at=NOW + 60 * SECOND)
    asked = {"status": Status.CANCELLING, "version": 5, "cancel_requested_at": NOW + 4 * SECOND}
    return [
        ("queued", ACCEPTED, advice),
        ("queued with a place in the queue", replace(ACCEPTED, version=2), {**advice, "queue_position": 3}),
        ("scheduled", replace(ACCEPTED, scheduled_for=NOW + 3600 * SECOND, run_at=NOW + 3600 * SECOND), advice),
        ("with metadata", replace(ACCEPTED, metadata={"customer": "42", "text": 'a "quoted" \\ é'}), advice),
        ("with a deadline", replace(ACCEPTED, deadline_at=NOW + 300 * SECOND), advice),
        ("run again", replace(ACCEPTED, rerun_of="op_06H0JHQ7SQFGQTPY3D7RDJS678RQTYYX"), advice),
        ("running", RUNNING, advice),
        ("running with progress", replace(RUNNING, **progressed, version=3), advice),
        ("waiting for another attempt", waiting, advice),
        ("cancelling", replace(RUNNING, **asked), advice),
        ("succeeded", _succeeded(b'{"pages": 3, "title": "\\u00e9\\u2028"}', **ended, **progressed), {}),
        ("succeeded with null", _succeeded(b"null", **ended), {}),
        ("succeeded with a file", _succeeded(b"%PDF-1.7", media_type="application/pdf", **ended), {}),
        ("failed", _failed(Problem(code="worker-lost", title="The worker was lost"), **ended), {}),
        ("failed on purpose", _failed(PURPOSE, **ended), {}),
        ("cancelled", replace(RUNNING, status=Status.CANCELLED, **ended, cancel_requested_at=NOW + 4 * SECOND), {}),
    ]


PURPOSE = Problem(
    code="out-of-paper", title="The printer has no paper", status=422, detail=HOSTILE, extensions={"tray": 2}
)


def _succeeded(body: bytes, *, media_type: str = "application/json", **fields: Any) -> Operation:
    result = StoredResult(body=body, media_type=media_type, size=len(body), etag="abc")
    return replace(RUNNING, status=Status.SUCCEEDED, result=result, **fields)


def _failed(error: Problem, **fields: Any) -> Operation:
    return replace(RUNNING, status=Status.FAILED, error=error, **fields)


def operations() -> list[dict[str, Any]]:
    """Return the resource of each, and one as lists carry it."""
    found = []
    for name, operation, options in story():
        found.append({"name": name, "body": json.loads(wire.resource(operation, links=LINKS, **options))})
    name, operation, options = story()[10]
    listed = wire.resource(operation, links=LINKS, with_result=False, **options)
    return [*found, {"name": f"{name}, in a list", "body": json.loads(listed)}]


def log() -> tuple[list[Event], Operation]:
    """Return the log of one operation that shows every type of event, and the operation at its end."""
    end = _succeeded(
        b'{"pages": 3}',
        version=9,
        updated_at=NOW + 9 * SECOND,
        finished_at=NOW + 9 * SECOND,
        expires_at=NOW + timedelta(days=7),
        progress=HALFWAY,
        progress_version=5,
        progress_run=1,
        progress_at=NOW + 3 * SECOND,
    )
    entries = [Output(json.dumps({"text": HOSTILE})), Output("null"), LogLine(HOSTILE, level="warning")]
    told: list[tuple[int, EventType, str]] = [
        (1, EventType.STATUS, status_data(Status.QUEUED, attempt=0)),
        (2, EventType.STATUS, status_data(Status.RUNNING, attempt=1)),
        (3, *entry_data(entries[0])),
        # Version 4 was progress and is superseded: the hole belongs to the contract.
        (5, EventType.PROGRESS, progress_data(HALFWAY)),
        (6, *entry_data(entries[1])),
        (7, *entry_data(entries[2])),
        (8, EventType.STATUS, status_data(Status.CANCELLING, attempt=1)),
        (9, EventType.DONE, "{}"),
    ]
    events = [
        Event(end.id, version, 0 if version == 1 else 1, kind, NOW + version * SECOND, data)
        for version, kind, data in told
    ]
    return events, end


def events() -> list[dict[str, Any]]:
    """Return the data of each event of the log, and of a snapshot."""
    told, end = log()
    found = [
        {"name": f"{each.type} {each.version}", "body": json.loads(wire.event_data(each, end, LINKS))} for each in told
    ]
    snapshot = json.loads(wire.snapshot_data(RUNNING, LINKS, poll_after=SECOND))
    return [*found, {"name": "snapshot", "body": snapshot}]


def streams() -> list[dict[str, Any]]:
    """Return byte streams as the server sends them, cut at hostile places, and the frames that were whole."""
    told, end = log()
    frames = [frame(each.type, wire.event_data(each, end, LINKS), str(each.version)) for each in told]
    whole = retry_line(2000) + PING.join(frames)
    first = frame("snapshot", wire.snapshot_data(RUNNING, LINKS), str(RUNNING.version))
    ended = frame("snapshot", wire.snapshot_data(end, LINKS), None) + frames[-1]
    inside = sum(map(len, frames[:3])) + len(frames[3]) // 2
    return [
        _stream("the whole log", whole),
        _stream("the whole log, cut before and after every line feed", whole, _around_line_feeds(whole)),
        _stream("a snapshot and what follows", retry_line(2000) + first + b"".join(frames[2:])),
        _stream("a finished operation: the snapshot has no id", retry_line(2000) + ended),
        _stream("only pings", PING * 3),
        _stream("ends in the middle of a frame, which must not count", b"".join(frames)[:inside]),
        _stream("ends between the lines of a frame", b"".join(frames[:2]) + frames[2][:-1]),
        _stream("nothing at all", b""),
    ]


def _around_line_feeds(data: bytes) -> list[int]:
    found = {index + side for index, byte in enumerate(data) if byte == ord("\n") for side in (0, 1)}
    return sorted(found - {0, len(data)})


def _stream(name: str, data: bytes, cuts: list[int] | None = None) -> dict[str, Any]:
    """Return a stream with the frames that a reader must see: only those that a blank line has ended."""
    frames, identity, retry = [], "", None
    *whole, _ = data.decode("ascii").split("\n\n")
    for text in whole:
        fields = dict(line.split(": ", 1) for line in text.split("\n") if not line.startswith(":"))
        retry = int(fields["retry"]) if "retry" in fields else retry
        if fields:
            identity = fields.get("id", identity)
            frames.append({"event": fields["event"], "id": identity, "data": json.loads(fields["data"])})
    return {"name": name, "text": data.decode("ascii"), "cuts": cuts or [], "frames": frames, "retry": retry}


def problems() -> list[dict[str, Any]]:
    """Return the problem document of every error that a request can meet."""
    kinds = sorted(_descendants(errors.RequestProblem), key=lambda kind: kind.code)
    found = [
        _problem(kind.code, wire.request_problem_fields(kind("What happened.", operation_id=ACCEPTED.id)))
        for kind in kinds
    ]
    return [*found, _problem("raised on purpose", wire.problem_fields(PURPOSE, operation_id=ACCEPTED.id))]


def _descendants(kind: type[errors.RequestProblem]) -> list[type[errors.RequestProblem]]:
    children = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    return [*children, *(each for child in children for each in _descendants(child))]


def _problem(name: str, body: dict[str, Any]) -> dict[str, Any]:
    code = body["type"].removeprefix(wire.PROBLEM_TYPE)
    return {"name": name, "status": body["status"], "code": code, "body": body}


FILES = {"operations.json": operations, "events.json": events, "streams.json": streams, "problems.json": problems}


def main() -> int:
    """Write or check the files; return the exit status."""
    parser = argparse.ArgumentParser(description="Generate the server's part of tests/wire.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    checks = parser.parse_args().check
    outdated = False
    for name, make in FILES.items():
        file = FOLDER / name
        wanted = json.dumps(make(), indent=1) + "\n"
        if file.exists() and file.read_text(encoding="utf-8") == wanted:
            continue
        if checks:
            print(f"{file} is out of date with core/wire.py; run: python tools/generate_wire_vectors.py")
            outdated = True
        else:
            file.write_text(wanted, encoding="utf-8")
    return int(outdated)


if __name__ == "__main__":
    sys.exit(main())
