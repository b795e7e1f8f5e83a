"""The store in trouble: locked by a stranger, a full disk, no descriptors. Clean answers, nothing lost, no restart."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import re
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.chaos.driver import Scene, until
from tests.chaos.shim import Shim

pytestmark = pytest.mark.chaos
KINDS = ("async", "thread", "process")


@pytest.mark.long
def test_a_stranger_that_locks_the_database_delays_and_loses_nothing(scene: Scene, deep: bool) -> None:
    """Locked past the store's patience: 503 or a wait, no lost lease, and the server recovers by itself."""
    locked_for = 20.0 if deep else 5.5  # the store waits for five seconds
    scene.settings["RAINCHECK_LEASE"] = "6s"
    server = scene.start().ready()
    running = [server.submit(kind, steps=2, pause=0.3) for kind in KINDS]
    for operation_id in running:
        scene.begun(operation_id)
    answers: list[httpx2.Response] = []

    def submit(number: int) -> None:
        answers.append(server.client.post("/async", json={"steps": 1, "payload": str(number)}))

    clients = [threading.Thread(target=submit, args=(number,)) for number in range(12)]
    with contextlib.closing(sqlite3.connect(scene.database, isolation_level=None)) as stranger:
        stranger.execute("BEGIN EXCLUSIVE")
        locked_at = time.monotonic()
        for client in clients:
            client.start()
        assert server.get(running[0])["status"] == "running"  # reading goes on
        while time.monotonic() - locked_at < locked_for:
            time.sleep(0.1)
        stranger.execute("ROLLBACK")
    for client in clients:
        client.join(30)
    assert len(answers) == 12
    assert {answer.status_code for answer in answers} <= {202, 503}
    assert all(answer.json()["type"].endswith(":store-unavailable") for answer in answers if answer.status_code == 503)
    accepted = [answer.json()["id"] for answer in answers if answer.status_code == 202]
    accepted += [*running, server.submit("async", steps=1)]
    scene.finished(accepted, by=server)
    assert {operation.run for operation, _ in scene.judge(accepted).values()} == {1}
    assert scene.everything() == set(accepted), "a 503 was answered and the operation was stored all the same"


@pytest.fixture
def small_disk(tmp_path: Path):
    """Provide a file system of 24 MiB, or skip."""
    yield from disk_of("24m", tmp_path)


@pytest.fixture
def tiny_disk(tmp_path: Path):
    """Provide a file system of 2 MiB, or skip."""
    yield from disk_of("2m", tmp_path)


def disk_of(size: str, tmp_path: Path) -> Iterator[Path]:
    """Mount a file system in memory, or skip."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small tmpfs takes root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_refuses_new_work_and_lets_the_running_finish(small_disk: Path, scene: Scene) -> None:
    """Submits get 507, the reserve lets running work end, and with space it goes on without a restart."""
    scene.store_folder = small_disk
    server = scene.start().ready()
    running = [server.submit(kind, steps=8, pause=0.25) for kind in KINDS]
    for operation_id in running:
        scene.begun(operation_id)
    accepted = list(running)
    filler = small_disk / "filler"

    def fill() -> None:
        with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))

    fill()
    refusals = 0
    end = time.monotonic() + 15
    while refusals < 3 and time.monotonic() < end:
        answer = server.client.post("/async", json={"steps": 1, "payload": "x" * 100_000})
        if answer.status_code == 202:
            accepted.append(answer.json()["id"])
            continue
        assert answer.status_code == 507, answer.text
        assert answer.json()["type"].endswith(":storage-full")
        refusals += 1
    assert refusals == 3
    scene.finished(running, by=server)

    filler.unlink()
    last = until(
        lambda: (answer := server.client.post("/async", json={"steps": 1})).status_code == 202 and answer.json()["id"],
        what="the recovery",
    )
    accepted.append(last)
    scene.finished(accepted, by=server)
    scene.judge(accepted)
    warnings = [line for line in server.log.read_text().splitlines() if "full" in line]
    assert len(warnings) < 10, "a full disk floods the log, which is often on the same disk"


def test_a_disk_too_small_to_begin_with_refuses_all_until_it_grows(tiny_disk: Path, scene: Scene) -> None:
    """With 2 MiB there is no reserve to keep: 507 from the first submit on, and the first one after it grew is kept."""
    scene.store_folder = tiny_disk
    server = scene.start().ready()
    for kind in KINDS:
        answer = server.client.post(f"/{kind}", json={"steps": 1})
        assert (answer.status_code, answer.json()["type"]) == (507, "urn:raincheck:problem:storage-full")
        assert int(answer.headers["Retry-After"]) >= 1
    assert scene.everything() == set()
    subprocess.run(["mount", "-o", "remount,size=64m", str(tiny_disk)], check=True)
    accepted = until(lambda: submitted(server), what="the recovery")
    scene.finished([accepted], by=server)
    scene.judge([accepted])


def test_syncs_that_fail_lose_nothing_that_was_acknowledged(tmp_path: Path, scene: Scene, deep: bool) -> None:
    """A fifth of all syncs fail: refused or accepted, and what was accepted is there, also after a KILL in between."""
    shim = Shim(tmp_path)
    scene.settings |= {**shim.variables(), "RAINCHECK_LEASE": "5s"}
    server = scene.start().ready()
    shim.fail_syncs(20)
    accepted: dict[str, str] = {}
    refused: dict[str, str] = {}

    def submit(number: int, kind: str) -> bool:
        key = f"key-{number}"
        headers = {"Idempotency-Key": key}
        answer = server.client.post(f"/{kind}", json={"steps": 1, "pause": 0.01}, headers=headers)
        if answer.status_code == 202:
            accepted[key] = answer.json()["id"]
        else:
            assert answer.status_code in {503, 507}, answer.text
            refused[key] = kind
        return key in accepted

    numbers = itertools.count()
    end = time.monotonic() + 60
    for life in range(4 if deep else 2):
        while shim.failed_syncs < (life + 1) * (15 if deep else 3):
            assert time.monotonic() < end, "the server does not recover"
            number = next(numbers)
            submit(number, KINDS[number % 3])
            time.sleep(0.02)  # refusals without a try take no time
        if life % 2 == 0:
            server.kill()
            shim.fail_syncs(0)  # a file that cannot be synced is not opened
            server = scene.start().ready()
            shim.fail_syncs(20)
    assert accepted
    assert refused
    shim.fail_syncs(0)
    for key, kind in list(refused.items()):
        until(functools.partial(submit, int(key.removeprefix("key-")), kind), what="the recovery")
    ids = list(accepted.values())
    assert len(ids) == len(set(ids)) == next(numbers)
    scene.finished(ids, by=server)
    assert {operation.attempt for operation, _ in scene.judge(ids).values()} == {1}
    assert scene.everything() == set(ids), "a refused operation was stored beside its repetition"


@pytest.mark.long
def test_sixty_descriptors_are_enough_to_lose_nothing(scene: Scene) -> None:
    """With ``ulimit -n 60`` and more clients than that, each 202 ends, and the server recovers by itself."""
    scene.settings["RAINCHECK_LEASE"] = "3s"
    server = scene.start(descriptors=60).ready()
    base = str(server.client.base_url)
    accepted: list[str] = []
    refused: list[object] = []

    def crowd(number: int) -> None:
        with httpx2.Client(base_url=base, timeout=10, trust_env=False, verify=False) as client:
            for count in range(2):
                try:
                    kind = KINDS[(number + count) % 3]
                    answer = client.post(f"/{kind}", json={"steps": 1, "pause": 0.02})
                except httpx2.HTTPError as error:
                    refused.append(error)
                    continue
                if answer.status_code == 202:
                    accepted.append(answer.json()["id"])
                else:
                    assert answer.status_code in {429, 503}, answer.text
                    refused.append(answer.status_code)

    clients = [threading.Thread(target=crowd, args=(number,)) for number in range(80)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(30)
        assert not client.is_alive()
    accepted.append(until(lambda: submitted(server), what="the recovery"))
    scene.finished(accepted, by=server)
    found = scene.judge(accepted)
    assert {operation.attempt for operation, _ in found.values()} == {1}


def submitted(server) -> str | None:
    """Return the id of a new operation, None if the server did not answer."""
    with contextlib.suppress(httpx2.HTTPError):
        answer = server.client.post("/process", json={"steps": 1})
        return answer.json()["id"] if answer.status_code == 202 else None
    return None


def test_a_202_follows_the_sync_of_its_commit(scene: Scene) -> None:
    """In the system calls of the server: written to the log, synced, and only then the answer is sent."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    probe = subprocess.run(["strace", "-f", "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"this machine does not let strace trace: {probe.stderr.strip()[-200:]}")
    trace = scene.folder / "trace"
    calls = "trace=fdatasync,fsync,sendto,sendmsg,write,writev,pwrite64"
    server = scene.start(under=("strace", "-f", "-y", "-s", "4500", "-e", calls, "-o", str(trace))).ready()
    ids = [server.submit("async", steps=0) for _ in range(5)]
    for child in psutil.Process(server.pid).children():  # strace itself ends with it
        child.terminate()
    server.process.wait(20)
    lines = trace.read_text(errors="replace").splitlines()
    for operation_id in ids:
        mine = [number for number, line in enumerate(lines) if operation_id in line]
        written = next(number for number in mine if "-wal>" in lines[number])
        answered = next(number for number in mine if "202 Accepted" in lines[number])
        assert written < answered, "answered before it was written"
        assert any(synced(line) for line in lines[written + 1 : answered]), "answered before it was synced"


def synced(line: str) -> bool:
    """Tell whether a line is the end of a successful sync of the database's log."""
    whole = re.search(r"f(data)?sync\(\d+<[^>]*-wal>\)\s+= 0", line)
    resumed = re.search(r"<\.\.\. f(data)?sync resumed>\)\s+= 0", line)
    return bool(whole or resumed)
