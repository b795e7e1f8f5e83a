"""Cancel, retry, delete (docs/contract.md)."""

from __future__ import annotations

import socket

import pytest

from tests.contract.serving import Background, assert_problem, fresh_name

ORDER = {"pages": 3, "title": "rain"}
LATER = {"Operation-Delay": "3600"}


def started(caller, server, route, **options):
    """Submit an operation that waits for a signal, and return it with its name once it runs."""
    name = fresh_name()
    operation = caller.submit(f"{route}/{name}", **options)
    server.await_signal(f"{name}.started")
    return caller.until(operation["id"], "running"), name


# --- rows ---------------------------------------------------------------------------------------------------------


def test_cancel_queued_is_200(caller):
    """A queued operation is cancelled at once, and never runs."""
    operation = caller.submit("/reports", json=ORDER, headers=LATER)
    answer = caller.post(operation["links"]["cancel"])
    assert answer.status_code == 200
    found = answer.json()
    assert found["status"] == "cancelled"
    assert found["version"] == operation["version"] + 1
    assert found["cancel_requested_at"]
    assert found["finished_at"]
    assert found["started_at"] is None
    assert caller.operation(operation["id"]) == found


@pytest.mark.parametrize("route", ["/held", "/held-threads", "/held-processes"])
def test_cancel_running_is_202(caller, server, route):
    """A running operation is asked to stop, from whichever process; asking again gives the same answer."""
    operation, name = started(caller, server, "/stubborn")
    first = caller.post(operation["links"]["cancel"])
    assert first.status_code == 202
    assert first.json()["status"] == "cancelling"
    assert first.json()["done"] is False
    assert int(first.headers["retry-after"]) >= 1
    for _ in range(2):
        again = caller.post(operation["links"]["cancel"])
        assert again.status_code == 202
        assert again.json()["version"] == first.json()["version"]
        assert again.json()["cancel_requested_at"] == first.json()["cancel_requested_at"]
    server.give(name)
    willing, _ = started(caller, server, route)
    assert caller.post(willing["links"]["cancel"]).status_code == 202
    assert caller.done(willing["id"])["status"] == "cancelled"


def test_cancel_cancelled_is_200(caller):
    """Cancelling what is cancelled gives the same answer and changes nothing."""
    operation = caller.submit("/reports", json=ORDER, headers=LATER)
    first = caller.post(operation["links"]["cancel"]).json()
    for _ in range(2):
        again = caller.post(operation["links"]["cancel"])
        assert again.status_code == 200
        assert again.json() == first


@pytest.mark.parametrize(("route", "body"), [("/reports", ORDER), ("/crashes", None)])
def test_cancel_finished_is_409(caller, route, body):
    """What has succeeded or failed cannot be cancelled, and stays as it is."""
    operation = caller.finished(route, json=body)
    problem = assert_problem(caller.post(operation["links"]["cancel"]), 409, "operation-finished")
    assert problem["operation_id"] == operation["id"]
    assert caller.operation(operation["id"]) == operation


def test_a_return_while_cancelling_succeeds(caller, server):
    """A function that returns all the same succeeds; one that fails is cancelled, and not tried again."""
    returning, first = started(caller, server, "/stubborn")
    failing, second = started(caller, server, "/stubborn-failures")
    for operation in (returning, failing):
        assert caller.post(operation["links"]["cancel"]).status_code == 202
    server.give(first)
    server.give(second)
    succeeded = caller.done(returning["id"])
    assert succeeded["status"] == "succeeded"
    assert succeeded["result"] == {"name": first}
    assert succeeded["cancel_requested_at"]
    cancelled = caller.done(failing["id"])
    assert cancelled["status"] == "cancelled"
    assert cancelled["attempt"] == 1
    assert cancelled["error"] is None


def test_disconnect_cancels_nothing(caller, server):
    """A client that goes away while it waits for its submit leaves the operation running."""
    name = fresh_name()
    lines = [
        f"POST /held/{name} HTTP/1.1", "Host: x", f"X-Caller: {caller.name}", "Content-Length: 0", "Prefer: wait=60",
    ]  # fmt: skip
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        server.await_signal(f"{name}.started")
    (operation,) = caller.listed()
    assert operation["status"] == "running"
    server.give(name)
    finished = caller.done(operation["id"])
    assert finished["status"] == "succeeded"
    assert finished["cancel_requested_at"] is None


def test_retry_makes_a_new_operation(caller, server):
    """What failed or was cancelled runs again as a new operation with the same request."""
    name = fresh_name()
    metadata = {"Operation-Metadata": 'a="1"'}
    failed = caller.finished(f"/recoveries/{name}", headers=metadata)
    assert failed["status"] == "failed"
    server.give(name)
    key = {"Idempotency-Key": fresh_name()}
    answer = caller.post(failed["links"]["retry"], headers=key)
    assert answer.status_code == 202
    again = answer.json()
    assert again["id"] != failed["id"]
    assert again["rerun_of"] == failed["id"]
    assert again["metadata"] == {"a": "1"}
    assert answer.headers["location"] == answer.headers["operation-location"] == again["links"]["self"]
    assert "idempotency-replayed" not in answer.headers
    assert caller.done(again["id"])["result"] == {"name": name}
    repeated = caller.post(failed["links"]["retry"], headers=key)
    assert repeated.status_code == 202
    assert repeated.json()["id"] == again["id"]
    assert repeated.headers["idempotency-replayed"] == "true"
    other = caller.post(failed["links"]["retry"])
    assert other.json()["id"] not in {again["id"], failed["id"]}
    assert caller.operation(failed["id"])["status"] == "failed"
    cancelled = caller.submit("/reports", json=ORDER, headers=LATER)
    caller.post(cancelled["links"]["cancel"])
    rerun = caller.post(cancelled["links"]["retry"]).json()
    assert caller.done(rerun["id"])["result"] == ORDER


def test_retry_of_others_is_409(caller, server):
    """Only what failed or was cancelled can be retried."""
    succeeded = caller.finished("/reports", json=ORDER)
    problem = assert_problem(caller.post(succeeded["links"]["retry"]), 409, "operation-succeeded")
    assert problem["operation_id"] == succeeded["id"]
    queued = caller.submit("/reports", json=ORDER, headers=LATER)
    running, first = started(caller, server, "/held")
    cancelling, second = started(caller, server, "/stubborn")
    caller.post(cancelling["links"]["cancel"])
    for operation in (queued, running, cancelling):
        assert_problem(caller.post(operation["links"]["retry"]), 409, "operation-not-finished")
    assert len(caller.listed()) == 4
    server.give(first)
    server.give(second)


@pytest.mark.parametrize("route", ["/nothing", "/crashes", "/downloads/512"])
def test_delete_finished_is_204(caller, route):
    """A finished operation is deleted with all that belongs to it; from then on it is 410."""
    operation = caller.finished(route)
    answer = caller.delete(operation["links"]["self"])
    assert answer.status_code == 204
    assert answer.content == b""
    for _ in range(2):
        assert_problem(caller.get(operation["links"]["self"]), 410, "operation-deleted")
        assert_problem(caller.get(operation["links"]["result"]), 410, "operation-deleted")
        assert_problem(caller.delete(operation["links"]["self"]), 410, "operation-deleted")
    assert caller.listed() == []


def test_delete_unfinished_is_409(caller, server):
    """What is queued, running or cancelling cannot be deleted."""
    queued = caller.submit("/reports", json=ORDER, headers=LATER)
    running, first = started(caller, server, "/held")
    cancelling, second = started(caller, server, "/stubborn")
    caller.post(cancelling["links"]["cancel"])
    for operation in (queued, running, cancelling):
        problem = assert_problem(caller.delete(operation["links"]["self"]), 409, "operation-not-finished")
        assert problem["operation_id"] == operation["id"]
    server.give(first)
    server.give(second)
    for operation in (running, cancelling):
        assert caller.done(operation["id"])["status"] == "succeeded"


# --- edges --------------------------------------------------------------------------------------------------------


class TestRetries:
    """What a retry takes along."""

    def test_a_retry_takes_its_uploads_along(self, caller, server):
        """A retried upload survives the deletion of the operation it came from."""
        name = fresh_name()
        content = b"x" * 2_000_000
        failed = caller.finished(f"/uploads/{name}", files={"file": ("a.bin", content)})
        assert failed["status"] == "failed"
        server.give(name)
        again = caller.post(failed["links"]["retry"]).json()
        assert caller.delete(failed["links"]["self"]).status_code == 204
        assert caller.done(again["id"])["result"] == {"filename": "a.bin", "size": len(content)}

    def test_a_key_of_another_retry_is_refused(self, caller):
        """One key cannot name the retries of two operations."""
        first, second = caller.finished("/crashes"), caller.finished("/crashes")
        key = {"Idempotency-Key": fresh_name()}
        assert caller.post(first["links"]["retry"], headers=key).status_code == 202
        assert_problem(caller.post(second["links"]["retry"], headers=key), 422, "idempotency-key-reused")

    def test_a_malformed_key_is_refused(self, caller):
        """A retry reads its key as strictly as a submit."""
        failed = caller.finished("/crashes")
        headers = [[("Idempotency-Key", key)] for key in ("", '"', "k" * 256, "é".encode())]
        for each in [*headers, [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]]:
            assert_problem(caller.post(failed["links"]["retry"], headers=each), 400, "malformed-request")
        assert len(caller.listed()) == 1

    def test_racing_retries_with_one_key_make_one_operation(self, caller):
        """Retries at once with one key make one new operation."""
        failed = caller.finished("/crashes")
        key = {"Idempotency-Key": fresh_name()}
        under_way = [Background(caller.post, failed["links"]["retry"], headers=key) for _ in range(10)]
        assert len({each.answer.json()["id"] for each in under_way}) == 1


class TestRaces:
    """Changes that meet."""

    def test_racing_cancels_agree(self, caller, server):
        """Cancels at once give one change and the same answer."""
        operation, name = started(caller, server, "/stubborn")
        under_way = [Background(caller.post, operation["links"]["cancel"]) for _ in range(10)]
        answers = [each.answer for each in under_way]
        assert {answer.status_code for answer in answers} == {202}
        assert {answer.json()["version"] for answer in answers} == {operation["version"] + 1}
        server.give(name)

    def test_racing_deletes_answer_once_with_204(self, caller):
        """Of deletes at once one deletes; the others find the tombstone."""
        operation = caller.finished("/reports", json=ORDER)
        under_way = [Background(caller.delete, operation["links"]["self"]) for _ in range(10)]
        found = sorted(each.answer.status_code for each in under_way)
        assert found[0] == 204
        assert set(found) <= {204, 404, 410}
        assert 404 not in found

    def test_versions_only_rise(self, caller, server):
        """Every poll sees a version at least as high as the one before, whichever process answers."""
        name = fresh_name()
        operation = caller.submit(f"/steps/{name}")
        for number in (1, 2, 3):
            server.give(f"{name}-{number}")
        server.give(name)
        seen = [operation["version"]]
        while not operation["done"]:
            operation = caller.operation(operation["id"])
            seen.append(operation["version"])
        assert seen == sorted(seen)
