"""Submitting with an ``Idempotency-Key`` (docs/contract.md)."""

from __future__ import annotations

import anyio
import httpx2
import pytest

from tests.contract.serving import PATIENCE, assert_problem, fresh_name

ORDER = {"pages": 3, "title": "rain"}


def keyed(key, **others):
    """Return headers with a key."""
    return {"Idempotency-Key": key, **others}


# --- rows ---------------------------------------------------------------------------------------------------------


def test_same_key_same_request_is_the_same_operation(caller):
    """The key again with the same request gives the same operation, running or done, and makes no other."""
    key = fresh_name()
    first = caller.post("/reports", json=ORDER, headers=keyed(key))
    assert "idempotency-replayed" not in first.headers
    operation_id = first.json()["id"]
    again = caller.post("/reports", json=ORDER, headers=keyed(key))
    caller.done(operation_id)
    for answer in (again, caller.post("/reports", json=ORDER, headers=keyed(key))):
        assert answer.status_code == 202
        assert answer.headers["idempotency-replayed"] == "true"
        assert answer.headers["location"] == f"/operations/{operation_id}"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json()["id"] == operation_id
    replayed = caller.post("/reports", json=ORDER, headers=keyed(key)).json()
    assert replayed["status"] == "succeeded"
    assert replayed["result"] == ORDER
    assert len(caller.listed()) == 1


def test_replay_honours_its_own_prefer(caller, server):
    """The key again with ``Prefer: wait`` waits for the operation and gives the real answer."""
    key, name = fresh_name(), fresh_name()
    first = caller.submit(f"/held/{name}", headers=keyed(key))
    server.await_signal(f"{name}.started")
    unfinished = caller.post(f"/held/{name}", headers=keyed(key, Prefer="wait=1"))
    assert unfinished.status_code == 202
    assert unfinished.json()["id"] == first["id"]
    assert unfinished.headers["preference-applied"] == "wait=1"
    server.give(name)
    for _ in range(2):
        answer = caller.post(f"/held/{name}", headers=keyed(key, Prefer="wait=30"))
        assert answer.status_code == 200
        assert answer.json() == {"name": name}
        assert answer.headers["operation-id"] == first["id"]
        assert answer.headers["idempotency-replayed"] == "true"
        assert answer.headers["preference-applied"] == "wait=30"
    asynchronous = caller.post(f"/held/{name}", headers=keyed(key, Prefer="respond-async"))
    assert asynchronous.status_code == 202
    assert asynchronous.headers["preference-applied"] == "respond-async"


def test_same_key_other_request_is_422(caller):
    """The key again with another body, path or query is refused, and makes nothing."""
    key = fresh_name()
    first = caller.submit("/reports", json=ORDER, headers=keyed(key))
    problem = assert_problem(
        caller.post("/reports", json={**ORDER, "pages": 4}, headers=keyed(key)), 422, "idempotency-key-reused"
    )
    assert problem["operation_id"] == first["id"]
    query = caller.post("/reports?x=1", json=ORDER, headers=keyed(key))
    assert_problem(query, 422, "idempotency-key-reused")
    number = fresh_name()
    assert caller.get("/numbers/1", headers=keyed(number)).status_code == 202
    assert_problem(caller.get("/numbers/2", headers=keyed(number)), 422, "idempotency-key-reused")
    assert len(caller.listed()) == 2


MALFORMED = {
    "empty": "",
    "empty string": '""',
    "256 characters": "k" * 256,
    "256 characters in quotes": f'"{"k" * 256}"',
    "10 kB": "k" * 10_000,
    "only a quote": '"',
    "unterminated": '"key',
    "text after the string": '"key" more',
    "inner quote": '"ke"y"',
    "unknown escape": '"ke\\ny"',
    "trailing escape": '"key\\"',
    "inner tab": "a\tb",
    "inner tab in quotes": '"a\tb"',
    "latin-1": b"caf\xe9",
    "latin-1 in quotes": b'"caf\xe9"',
    "utf-8": "schlüssel".encode(),
    "emoji": "🔑".encode(),
    "bidirectional": "a\u202eb".encode(),
    "no-break space": b"a\xa0b",
    "only a no-break space": b"\xa0",
    "c1 control": b"a\x85b",
    "high bytes": b"\xff\xfe",
    "soft hyphen": b"a\xadb",
    "overlong utf-8": b"a\xc0\xafb",
    "full-width": "\uff4b\uff45\uff59".encode(),
    "zero width": "a\u200bb".encode(),
    "line separator": "a\u2028b".encode(),
    "backslash and quote": '"a\\',
}
# Servers refuse some themselves, or hand them over as empty: uvicorn's parser takes no control characters.
RAW = {"space": b" ", "spaces": b"    ", "tab": b"\t", "control": b"a\x01b", "delete": b"a\x7fb", "escape": b"a\x1bb"}


@pytest.mark.parametrize("key", MALFORMED.values(), ids=MALFORMED)
def test_malformed_key_is_400(caller, key):
    """A key that is empty, too long, not printable ASCII, or sent twice is refused, and makes nothing."""
    assert_problem(caller.post("/reports", json=ORDER, headers=keyed(key)), 400, "malformed-request")
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    assert_problem(caller.post("/reports", json=ORDER, headers=twice), 400, "malformed-request")
    assert caller.listed() == []


class TestRawKeys:
    """Keys that HTTP libraries of clients refuse to send."""

    @pytest.mark.parametrize("key", RAW.values(), ids=RAW)
    def test_a_raw_key_is_refused(self, caller, server, key):
        """Control characters and nothing but space are refused, and make nothing."""
        head = f"POST /looks HTTP/1.1\r\nHost: x\r\nX-Caller: {caller.name}\r\nContent-Length: 0\r\n"
        status, _, _ = server.exchange(head.encode() + b"Idempotency-Key: " + key + b"\r\n\r\n")
        assert status == 400
        assert caller.listed() == []


def test_refused_submits_are_not_stored(caller):
    """A submit that was refused does not take its key."""
    key = fresh_name()
    assert caller.post("/reports", json={"pages": 0}, headers=keyed(key)).status_code == 422
    assert caller.post("/guarded", headers=keyed(key)).status_code == 403
    malformed = caller.post("/reports", json=ORDER, headers=keyed(key, **{"Operation-Timeout": "soon"}))
    assert malformed.status_code == 400
    answer = caller.post("/reports", json=ORDER, headers=keyed(key))
    assert answer.status_code == 202
    assert "idempotency-replayed" not in answer.headers


def test_key_of_a_deleted_operation_is_410(caller):
    """The key of a deleted operation is answered with its tombstone, and makes nothing."""
    key = fresh_name()
    operation = caller.finished("/reports", json=ORDER, headers=keyed(key))
    assert caller.delete(f"/operations/{operation['id']}").status_code == 204
    problem = assert_problem(caller.post("/reports", json=ORDER, headers=keyed(key)), 410, "operation-deleted")
    assert problem["operation_id"] == operation["id"]
    waiting = caller.post("/reports", json=ORDER, headers=keyed(key, Prefer="wait=30"))
    assert_problem(waiting, 410, "operation-deleted")
    assert caller.listed() == []


@pytest.mark.anyio
async def test_racing_submits_make_one_operation(caller, server):
    """Many submits at once with one key make one operation; other requests among them are refused one by one."""
    key = fresh_name()
    answers = []
    limits = httpx2.Limits(max_connections=30, max_keepalive_connections=0)

    async def submit(client, pages):
        body = {"pages": pages}
        answers.append((pages, await client.post("/reports", json=body, headers={**caller.headers, **keyed(key)})))

    options = {"base_url": server.url, "limits": limits, "timeout": PATIENCE, "trust_env": False}
    async with httpx2.AsyncClient(**options) as client, anyio.create_task_group() as tasks:
        for number in range(60):
            tasks.start_soon(submit, client, 1 + number % 2)
    accepted = [(pages, answer) for pages, answer in answers if answer.status_code == 202]
    refused = [answer for _, answer in answers if answer.status_code == 422]
    assert len(accepted) == 30
    assert len(refused) == 30
    assert len({pages for pages, _ in accepted}) == 1
    assert len({answer.json()["id"] for _, answer in accepted}) == 1
    assert sum("idempotency-replayed" not in answer.headers for _, answer in accepted) == 1
    assert len(caller.listed()) == 1


# --- edges --------------------------------------------------------------------------------------------------------


class TestKeys:
    """What keys may be."""

    @pytest.mark.parametrize(
        "key",
        [
            "k", "k" * 255, "a b", "a,b", "a;b=c", "'; DROP TABLE operations; --", "../../etc/passwd", "%00%0a", "<b>",
            "${jndi:ldap://x}", "{}", "null", "0", "\\", "a\\b", "a'b", "*", "?", "~!@#$%^&()_+|",
        ],
    )  # fmt: skip
    def test_any_printable_ascii_is_a_key(self, caller, key):
        """Every key of printable ASCII works, and its quoted form is the same key."""
        quoted = '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
        first = caller.submit("/reports", json=ORDER, headers=keyed(key))
        second = caller.submit("/reports", json=ORDER, headers=keyed(quoted))
        assert first["id"] == second["id"]

    def test_quotes_inside_a_key(self, caller):
        """A bare key may hold quotes; the quoted form escapes them."""
        first = caller.submit("/reports", json=ORDER, headers=keyed('a"b'))
        assert caller.submit("/reports", json=ORDER, headers=keyed('"a\\"b"'))["id"] == first["id"]

    def test_the_function_sees_its_key(self, caller):
        """The key reaches the function, without quotes."""
        key = fresh_name()
        assert caller.finished("/looks", headers=keyed(f'"{key}"'))["result"]["idempotency_key"] == key


class TestScope:
    """Where a key counts."""

    def test_another_owner_has_another_key(self, caller, other):
        """The same key of two owners makes two operations, and tells neither of the other."""
        key = fresh_name()
        mine = caller.submit("/reports", json=ORDER, headers=keyed(key))
        theirs = other.post("/reports", json=ORDER, headers=keyed(key))
        assert theirs.status_code == 202
        assert "idempotency-replayed" not in theirs.headers
        assert theirs.json()["id"] != mine["id"]

    def test_another_kind_has_another_key(self, caller):
        """The same key on two routes makes two operations."""
        key = fresh_name()
        first = caller.submit("/reports", json=ORDER, headers=keyed(key))
        assert caller.submit("/threads", json=ORDER, headers=keyed(key))["id"] != first["id"]


class TestSameRequest:
    """When two requests are the same."""

    def test_json_counts_by_value(self, caller):
        """Spaces, order of keys, escapes and forms of numbers make no difference (RFC 8785)."""
        key = fresh_name()
        json_type = {"Content-Type": "application/json"}
        bodies = [b'{"a":1.0,"b":"\\u00e9"}', '{ "b" : "é",\n"a": 1 }'.encode(), b'{"a":10e-1,"b":"\\u00E9"}']
        found = {caller.submit("/echoes", content=body, headers=keyed(key, **json_type))["id"] for body in bodies}
        assert len(found) == 1
        other = caller.post("/echoes", content=b'{"a":1,"b":"e"}', headers=keyed(key, **json_type))
        assert_problem(other, 422, "idempotency-key-reused")

    def test_forms_count_by_fields_and_file_content(self, caller):
        """The boundary of a form makes no difference; a field or a byte of a file does."""
        key = fresh_name()
        content = b"hello world"

        def send(content=content, note="n", filename="a.txt"):
            files = {"file": (filename, content)}
            return caller.post("/uploads", files=files, data={"note": note}, headers=keyed(key))

        first = send()
        assert first.status_code == 202
        again = send()
        assert again.json()["id"] == first.json()["id"]
        assert again.headers["idempotency-replayed"] == "true"
        for different in ({"content": b"hello World"}, {"note": "m"}, {"filename": "b.txt"}):
            assert_problem(send(**different), 422, "idempotency-key-reused")
        assert caller.done(first.json()["id"])["result"]["size"] == len(content)

    def test_headers_make_no_difference(self, caller):
        """Metadata and timeouts of a repeated request are those of the first."""
        key = fresh_name()
        first = caller.submit("/reports", json=ORDER, headers=keyed(key, **{"Operation-Metadata": 'a="1"'}))
        again = caller.submit("/reports", json=ORDER, headers=keyed(key, **{"Operation-Metadata": 'a="2"'}))
        assert again["id"] == first["id"]
        assert again["metadata"] == {"a": "1"}

    def test_a_conflict_fails_no_other_submit(self, caller):
        """Submits beside a conflicting one are accepted."""
        key = fresh_name()
        caller.submit("/reports", json=ORDER, headers=keyed(key))
        assert caller.post("/reports", json={"pages": 9}, headers=keyed(key)).status_code == 422
        assert caller.post("/reports", json={"pages": 9}).status_code == 202
