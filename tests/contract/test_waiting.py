"""Polls that wait: until the end, or until there is something newer (docs/contract.md)."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from types import SimpleNamespace

import anyio
import httpx2
import pytest

from raincheck.core.operation import Operation, Status
from raincheck.ids import Ids
from raincheck.roles.durations import Durations
from raincheck.roles.service import Service
from raincheck.roles.tail import Tail
from tests.contract.serving import (
    PATIENCE,
    Background,
    fresh_name,
)

ORDER = {"pages": 3}
UNKNOWN = "op_" + "0" * 32


@pytest.mark.parametrize("form", ["query", "prefer"])
def test_wait_holds_until_done(caller, server, form):
    """A poll with ``wait`` is held until the operation is done, wherever it runs; on time-out it shows it as it is."""
    name, mark = fresh_name(), fresh_name()
    operation = caller.submit(f"/held/{name}")
    server.await_signal(f"{name}.started")

    def poll(seconds, **headers):
        if form == "query":
            return caller.get(operation["links"]["self"], params={"wait": seconds}, headers=headers)
        return caller.get(operation["links"]["self"], headers={"Prefer": f"wait={seconds}", **headers})

    early = poll(1)
    assert early.status_code == 200
    assert early.json()["status"] == "running"
    assert int(early.headers["retry-after"]) >= 1
    held = [Background(poll, 60, **{"X-Mark": f"{mark}-{number}"}) for number in range(server.processes)]
    for number in range(server.processes):
        server.await_signal(f"{mark}-{number}")
    server.give(name)
    for each in held:
        answer = each.answer
        assert answer.json()["status"] == "succeeded"
        assert answer.headers["etag"] == f'W/"{answer.json()["version"]}"'
        assert answer.headers.get("preference-applied") == ("wait=60" if form == "prefer" else None)
    assert poll(60).json()["status"] == "succeeded"


def test_wait_after_holds_until_the_version_is_higher(caller, server):
    """A poll with ``after`` is held until there is something newer, and misses no step."""
    name = fresh_name()
    operation = caller.submit(f"/steps/{name}")
    server.await_signal(f"{name}-1.started")
    version = caller.operation(operation["id"])["version"]
    seen = []
    for number in range(1, 4):
        mark = fresh_name()
        parameters = {"wait": 60, "after": version}
        held = Background(caller.get, operation["links"]["self"], params=parameters, headers={"X-Mark": mark})
        server.await_signal(mark)
        server.give(f"{name}-{number}")
        found = held.answer.json()
        assert found["version"] > version
        version = found["version"]
        seen.append(found["progress"]["message"])
    assert seen == ["step 1", "step 2", "step 3"]
    same = caller.get(operation["links"]["self"], params={"wait": 1, "after": version}).json()
    assert same["version"] == version
    older = caller.get(operation["links"]["self"], params={"wait": 60, "after": version - 1}).json()
    assert older["version"] == version
    server.give(name)
    future = caller.get(operation["links"]["self"], params={"wait": 60, "after": 10**9}).json()
    assert future["status"] == "succeeded"


@pytest.mark.parametrize("seconds", ["61", "1000000000", "9" * 400, "1e400"])
def test_a_longer_wait_counts_as_sixty_seconds_in_both_forms(caller, seconds):
    """However many digits it has; `Prefer` takes whole seconds."""
    operation = caller.finished("/reports", json=ORDER)
    assert caller.get(operation["links"]["self"], params={"wait": seconds}).status_code == 200
    if seconds.isdigit():
        answer = caller.get(operation["links"]["self"], headers={"Prefer": f"wait={seconds}"})
        assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=60")


class TestLongPolls:
    """Many waiting clients, and clients that go away."""

    @pytest.mark.anyio
    async def test_fifty_polls_wait_at_once(self, caller, server):
        """Fifty polls held at once, on any process, all learn of the end."""
        name = fresh_name()
        operation = caller.submit(f"/held/{name}")
        answers = []
        limits = httpx2.Limits(max_connections=60, max_keepalive_connections=0)

        async def poll(client, number):
            headers = {**caller.headers, "X-Mark": f"{name}-{number}"}
            answers.append(await client.get(operation["links"]["self"], params={"wait": 60}, headers=headers))

        options = {"base_url": server.url, "limits": limits, "timeout": PATIENCE + 60, "trust_env": False}
        async with httpx2.AsyncClient(**options) as client, anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(poll, client, number)
            with anyio.fail_after(PATIENCE):
                while len(list(server.signals.glob(f"{name}-*"))) < 50:
                    await anyio.sleep(0.01)
            server.give(name)
        assert [answer.json()["status"] for answer in answers] == ["succeeded"] * 50

    def test_a_poll_learns_of_a_cancel_elsewhere(self, caller, server):
        """A cancel that another process took ends a held poll."""
        mark = fresh_name()
        operation = caller.submit("/reports", json=ORDER, headers={"Operation-Delay": "3600"})
        held = Background(caller.get, operation["links"]["self"], params={"wait": 60}, headers={"X-Mark": mark})
        server.await_signal(mark)
        assert caller.post(operation["links"]["cancel"]).status_code == 200
        assert held.answer.json()["status"] == "cancelled"

    def test_a_deleted_operation_does_not_hold_polls(self, caller):
        """A poll of what is gone is answered at once."""
        operation = caller.finished("/reports", json=ORDER)
        caller.delete(operation["links"]["self"])
        assert caller.get(operation["links"]["self"], params={"wait": 60, "after": 99}).status_code == 410

    def test_polls_that_go_away_leave_nothing(self, caller, server):
        """Clients that give up in the middle of a poll disturb nobody."""
        name = fresh_name()
        operation = caller.submit(f"/held/{name}")
        target = f"GET {operation['links']['self']}?wait=60 HTTP/1.1\r\nHost: x\r\nX-Caller: {caller.name}\r\n"
        for number in range(10):
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                connection.sendall(f"{target}X-Mark: {name}-{number}\r\n\r\n".encode())
                server.await_signal(f"{name}-{number}")
        assert caller.operation(operation["id"])["status"] == "running"
        server.give(name)
        assert caller.done(operation["id"])["status"] == "succeeded"

    @pytest.mark.anyio
    async def test_a_commit_between_look_and_wait_is_not_missed(self):
        """What is committed while a poll reads the record ends the poll, though no wait was there to be woken."""
        now = datetime.now(UTC)
        before = Operation(id=UNKNOWN, kind="k", created_at=now, updated_at=now, run_at=now)
        after = Operation(
            id=UNKNOWN, kind="k", created_at=now, updated_at=now, run_at=now, status=Status.CANCELLED, version=2
        )
        tail = Tail(store=SimpleNamespace())
        service = Service(
            store=SimpleNamespace(),
            blobs=SimpleNamespace(),
            tail=tail,
            durations=Durations(),
            kinds={},
            clock=lambda: now,
            new_id=Ids().at,
            max_queued=1,
        )
        with tail.watch(UNKNOWN) as watcher, anyio.fail_after(PATIENCE):
            tail.committed([SimpleNamespace(operation=after)])
            assert await service.wait_on(watcher, before, seconds=3600) is after
