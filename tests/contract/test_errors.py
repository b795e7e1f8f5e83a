"""Refusals of a server that has reached a limit or is about to end (docs/contract.md)."""

from __future__ import annotations

import inspect
import json
import os
import socket
import subprocess
from contextlib import suppress

import pytest
from fastapi import APIRouter

from tests.contract.serving import (
    PATIENCE,
    Background,
    assert_problem,
    eventually,
    fresh_name,
    read_answer,
)

ORDER = {"pages": 3, "title": "rain"}
MIB = 1 << 20


def head(caller, target, *lines):
    """Return the head of a POST."""
    return "\r\n".join([f"POST {target} HTTP/1.1", "Host: x", f"X-Caller: {caller.name}", *lines, "", ""]).encode()


# --- rows ---------------------------------------------------------------------------------------------------------


def test_full_queue_is_429(small):
    """A queue at its bound refuses with ``Retry-After``, keeps what it accepted, and takes more once there is room."""
    caller = small.caller()
    accepted = [caller.submit("/reports", json=ORDER) for _ in range(3)]
    for _ in range(3):
        refused = caller.post("/reports", json=ORDER, headers={"Idempotency-Key": "k"})
        assert_problem(refused, 429, "queue-full")
        assert int(refused.headers["retry-after"]) >= 1
    upload = caller.post("/uploads", files={"file": ("a", b"x")}, data={"note": "n"})
    assert_problem(upload, 429, "queue-full")
    assert [item["id"] for item in caller.listed()] == [operation["id"] for operation in accepted[::-1]]
    assert [caller.operation(operation["id"])["queue_position"] for operation in accepted] == [0, 1, 2]
    caller.post(accepted[0]["links"]["cancel"])
    rerun = caller.post(accepted[0]["links"]["retry"])
    eventually(lambda: rerun.status_code in {202, 429}, "an answer")
    if rerun.status_code == 429:
        eventually(lambda: caller.post("/reports", json=ORDER).status_code == 202, "room", small)
    for item in caller.listed(status="queued"):
        caller.post(item["links"]["cancel"])
    eventually(lambda: caller.post("/reports", json=ORDER).status_code == 202, "room", small)
    for item in caller.listed(status="queued"):
        caller.post(item["links"]["cancel"])


@pytest.mark.parametrize("processes", [1, 2])
def test_draining_is_503(start_server, processes):
    """At SIGTERM held polls end early, submits under way are refused, and the server ends; running work survives."""
    server = start_server("few", processes=processes, drain="1s")
    caller = server.caller()
    names = [fresh_name() for _ in range(3)]
    routes = ("/held", "/held-threads", "/held-processes")
    operations = [caller.submit(f"{route}/{name}") for route, name in zip(routes, names, strict=True)]
    for name in names:
        server.await_signal(f"{name}.started")
    polls = []
    for number in range(4):
        link = operations[number % 3]["links"]["self"]
        polls.append(Background(caller.get, link, params={"wait": 60}, headers={"X-Mark": f"poll-{number}"}))
        server.await_signal(f"poll-{number}")
    # A submit whose body is still to come; the server has asked for it, so it is under way.
    body = json.dumps(ORDER).encode()
    lines = ("Content-Type: application/json", f"Content-Length: {len(body)}", "Expect: 100-continue")
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.sendall(head(caller, "/reports", *lines))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        server.terminate()
        for poll in polls:
            answer = poll.answer
            assert answer.status_code == 200
            assert answer.json()["status"] == "running"
        connection.sendall(body)
        status, headers, content = read_answer(connection)
    assert status == 503
    assert int(headers["retry-after"]) >= 1
    assert json.loads(content)["type"] == "urn:raincheck:problem:draining"
    assert server.process.wait(timeout=PATIENCE) is not None
    for name in names:
        server.give(name)
    restarted = start_server("few", server.folder)
    again = restarted.caller(caller.name)
    for operation, name in zip(operations, names, strict=True):
        finished = again.done(operation["id"])
        assert finished["status"] == "succeeded"
        assert finished["result"] == {"name": name}
        assert finished["attempt"] == 1
    assert len(again.listed()) == 3


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("a small file system can only be mounted by root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True, check=False, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    # Lazily, since the server still runs where the test failed.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(file):
    """Take what is left of a disk."""
    with suppress(OSError), file.open("ab", buffering=0) as filler:
        for size in (MIB, 4096, 512, 1):
            with suppress(OSError):
                while True:
                    filler.write(bytes(size))


def test_full_disk_is_507(start_server, disk, tmp_path):
    """On a full disk nothing is accepted and nothing acknowledged is lost; running work ends, and it recovers."""
    server = start_server("few", tmp_path, store=f"sqlite:///{disk / 'operations.db'}", engine="embedded")
    caller = server.caller()
    before = [caller.finished("/reports", json=ORDER) for _ in range(5)]
    name = fresh_name()
    running = caller.submit(f"/held/{name}")
    server.await_signal(f"{name}.started")
    filler = disk / "filler"
    fill(filler)
    accepted, refused = [], None
    for number in range(20_000):
        answer = caller.post(
            "/echoes", json={"number": number, "text": "x" * 50_000}, headers={"Operation-Delay": "3600"}
        )
        if answer.status_code != 202:
            refused = answer
            break
        accepted.append(answer.json()["id"])
        fill(filler)
    assert refused is not None
    assert_problem(refused, 507, "storage-full")
    upload = caller.post("/uploads", files={"file": ("a", b"x" * 30 * MIB)}, data={"note": "n"})
    assert_problem(upload, 507, "storage-full")
    # Reads are served, and what runs can still end: a reserve is kept for it.
    for operation in before:
        assert caller.operation(operation["id"]) == operation
    assert len(caller.listed(status="queued", page_size=200)) == min(len(accepted), 200)
    server.give(name)
    assert caller.done(running["id"])["result"] == {"name": name}
    filler.unlink()
    eventually(lambda: caller.post("/reports", json=ORDER).status_code == 202, "the recovery", server)
    assert caller.finished("/reports", json=ORDER)["status"] == "succeeded"
    for operation_id in accepted:
        assert caller.operation(operation_id)["status"] == "queued"
    assert caller.operation(running["id"])["result"] == {"name": name}
    server.stop()


LARGE = 300_000  # too large to be kept in the record besides


@pytest.mark.parametrize("form", ["json", "chunked json", "multipart", "chunked multipart", "urlencoded"])
def test_oversized_body_is_413(small, form):
    """A body over the limit is refused, whether its length is announced or not, and leaves nothing behind."""
    caller = small.caller()
    client = small.fresh(headers=caller.headers)
    boundary = {"Content-Type": "multipart/form-data; boundary=b"}
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + b"x" * LARGE
    part += b'\r\n--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nn\r\n--b--\r\n'
    document = json.dumps({"text": "x" * LARGE}).encode()
    kind = {"Content-Type": "application/json"}

    def chunks(body):
        yield from (body[start : start + 8192] for start in range(0, len(body), 8192))

    match form:
        case "json":
            answer = client.post("/echoes", content=document, headers=kind)
        case "chunked json":
            answer = client.post("/echoes", content=chunks(document), headers=kind)
        case "multipart":
            answer = client.post("/uploads", content=part, headers=boundary)
        case "chunked multipart":
            answer = client.post("/uploads", content=chunks(part), headers=boundary)
        case _:
            if "max_body_size" not in inspect.signature(APIRouter.add_api_route).parameters:
                pytest.skip("this FastAPI validates a form before its size is known; that it lacks a file comes first")
            answer = client.post("/uploads", data={"note": "x" * LARGE})
    assert answer.status_code == 413, answer.text
    assert caller.listed() == []
    assert list(small.folder.glob("operations.db.d/blobs/*")) == []
    fits = client.post("/echoes", json={"text": "x" * 60_000})
    assert fits.status_code == 202
    caller.post(fits.json()["links"]["cancel"])


# --- edges --------------------------------------------------------------------------------------------------------


class TestProblems:
    """What every refusal looks like."""

    def test_refusals_carry_what_they_are(self, caller):
        """Refusals are problem documents that are never cached, and name the operation where there is one."""
        operation = caller.finished("/reports", json=ORDER)
        refusals = [
            (caller.get("/operations/x"), None),
            (caller.get("/operations?page_size=x"), None),
            (caller.post("/reports", json=ORDER, headers={"Operation-Delay": "x"}), None),
            (caller.post(operation["links"]["cancel"]), operation["id"]),
            (caller.post(operation["links"]["retry"]), operation["id"]),
        ]
        for answer, operation_id in refusals:
            problem = answer.json()
            assert set(problem) == {"type", "title", "status", "detail"} | ({"operation_id"} if operation_id else set())
            assert problem.get("operation_id") == operation_id
            assert problem["status"] == answer.status_code
            assert answer.headers["cache-control"] == "no-store"

    def test_a_lost_owner_is_refused_everywhere(self, server):
        """Without an owner every operation route gives the application's own 401."""
        client = server.fresh()
        operation_id = server.caller().finished("/reports", json=ORDER)["id"]
        for method, path in (
            ("GET", "/operations"),
            ("GET", f"/operations/{operation_id}"),
            ("GET", f"/operations/{operation_id}/result"),
            ("POST", f"/operations/{operation_id}/cancel"),
            ("POST", f"/operations/{operation_id}/retry"),
            ("DELETE", f"/operations/{operation_id}"),
            ("POST", "/reports"),
        ):
            answer = client.request(method, path)
            assert answer.status_code == 401, (method, path)
            assert answer.json() == {"application": "who are you?"}

    def test_nothing_of_the_suite_was_a_surprise(self, server):
        """The servers logged no error but those of functions that crash on purpose."""
        lines = [line for line in server.log.splitlines() if "ended unexpectedly" in line or "ASGI application" in line]
        assert lines == []
