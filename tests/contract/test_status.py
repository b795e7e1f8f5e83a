"""The status of an operation (docs/contract.md)."""

from __future__ import annotations

import pytest

from tests.contract.serving import (
    assert_problem,
    eventually,
    fresh_name,
)

ORDER = {"pages": 3}
ROUTES = [("GET", ""), ("GET", "/result"), ("POST", "/cancel"), ("POST", "/retry"), ("DELETE", "")]
UNKNOWN = "op_" + "0" * 32


def conditional(caller, operation, tag):
    """Ask for an operation with an ``If-None-Match``."""
    return caller.get(operation["links"]["self"], headers={"If-None-Match": tag})


def test_status_is_200_even_for_failures(caller, server):
    """Every known state is 200 with the version as weak ETag; unfinished ones advise when to ask again."""
    name = fresh_name()
    running = caller.submit(f"/held/{name}")
    server.await_signal(f"{name}.started")
    succeeded = caller.finished("/reports", json=ORDER)
    failed = caller.finished("/crashes")
    queued = caller.submit("/reports", json=ORDER, headers={"Operation-Delay": "3600"})
    cancelled = caller.submit("/reports", json=ORDER, headers={"Operation-Delay": "3600"})
    caller.post(cancelled["links"]["cancel"])
    states = {
        running["id"]: "running",
        queued["id"]: "queued",
        succeeded["id"]: "succeeded",
        failed["id"]: "failed",
        cancelled["id"]: "cancelled",
    }
    for operation_id, status in states.items():
        answer = caller.get(f"/operations/{operation_id}")
        operation = answer.json()
        assert answer.status_code == 200
        assert operation["status"] == status
        assert operation["done"] is (status not in {"queued", "running"})
        assert answer.headers["etag"] == f'W/"{operation["version"]}"'
        assert answer.headers["cache-control"] == "private, no-cache"
        assert answer.headers["content-type"] == "application/json"
        if operation["done"]:
            assert "retry-after" not in answer.headers
            assert operation["poll_after_ms"] is None
            assert operation["finished_at"] < operation["expires_at"]
        else:
            assert int(answer.headers["retry-after"]) >= 1
            assert operation["poll_after_ms"] >= 1
            assert operation["expires_at"] is None
        assert (operation["queue_position"] is None) is (status != "queued")
        assert (operation["error"] is None) is (status != "failed")
        assert operation["result_inline"] is (status == "succeeded")
    server.give(name)


def test_if_none_match_is_304(caller, server):
    """``If-None-Match`` with the current version, weak, strong, in a list or ``*``, gives 304 without a body."""
    operation = caller.finished("/reports", json=ORDER)
    version = operation["version"]
    for tag in (f'W/"{version}"', f'"{version}"', "*", f'W/"1", "x", W/"{version}"', f'"{version}","1"'):
        answer = conditional(caller, operation, tag)
        assert answer.status_code == 304, tag
        assert answer.content == b""
        assert answer.headers["etag"] == f'W/"{version}"'
        assert answer.headers["cache-control"] == "private, no-cache"
    for tag in (
        f'W/"{version - 1}"',
        f'W/"{version + 1}"',
        str(version),
        f"W/{version}",
        '""',
        "",
        '"',
        f'"{version}',
        "x" * 9000,
    ):
        assert conditional(caller, operation, tag).status_code == 200, tag
    name = fresh_name()
    running = caller.submit(f"/held/{name}")
    running = caller.until(running["id"], "running")
    assert conditional(caller, running, f'W/"{running["version"]}"').status_code == 304
    server.give(name)
    caller.done(running["id"])
    assert conditional(caller, running, f'W/"{running["version"]}"').status_code == 200


def test_malformed_status_parameters_are_400(caller):
    """A ``wait`` or ``after`` that cannot be read is a 400 problem, also of an operation that is done."""
    operation = caller.finished("/reports", json=ORDER)
    numbers = [
        "",
        "-1",
        "soon",
        "e3",
        "nan",
        "inf",
        "0x1",
        "1,2",
        "+1",
        " 1",
        "٣",
        "1;",
        "\x00",
        "true",
        "1 ",
    ]
    versions = [*numbers, "1.5", "1e3", "9" * 5000]
    queries = [{"wait": text} for text in numbers] + [{"wait": 1, "after": text} for text in versions]
    for parameters in queries:
        assert_problem(caller.get(operation["links"]["self"], params=parameters), 400, "malformed-request")
    for query in ("?wait=1&wait=1", "?after=1&after=2", "?wait=1&after=1&after=1"):
        assert_problem(caller.get(operation["links"]["self"] + query), 400, "malformed-request")
    for query in ("?wait=0", "?wait=0.5", "?wait=1e-07", "?wait=1000", "?wait=1&after=0", "?unknown=1", "?after=1"):
        assert caller.get(operation["links"]["self"] + query).status_code == 200


HOSTILE_IDS = {
    "unknown": UNKNOWN,
    "lower case": UNKNOWN.lower(),
    "other alphabet": "op_" + "I" * 32,
    "short": UNKNOWN[:-1],
    "long": UNKNOWN + "0",
    "no prefix": "0" * 32,
    "only a prefix": "op_",
    "too late": "op_" + "Z" * 32,
    "newline at the end": UNKNOWN + "%0A",
    "space at the end": UNKNOWN + "%20",
    "nul": "%00",
    "nul at the end": UNKNOWN + "%00",
    "unicode": "%F0%9F%98%80",
    "bidirectional": "%E2%80%AE" + UNKNOWN,
    "full-width digits": "op_" + "%EF%BC%90" * 32,
    "invalid utf-8": "%FF%FE",
    "surrogate": "%ED%A0%80",
    "10 kB": "x" * 10_000,
    "dots": "%2E%2E",
    "backslashes": "..%5C..%5Cetc%5Cpasswd",
    "sql": "'%20OR%201=1--",
    "percent": "%25",
    "bad percent": "%zz",
    "semicolon": UNKNOWN + ";x=1",
    "glob": "*",
    "template": "%7B%7B7*7%7D%7D",
    "header": "x%0D%0ASet-Cookie:%20a=b",
    "colon": "http:",
    "at": "@",
}


@pytest.mark.parametrize("case", [*HOSTILE_IDS, "foreign"])
def test_unknown_malformed_and_foreign_ids_are_one_404(caller, other, server, case):
    """On every route an unknown, malformed or foreign id gives one and the same 404, to the byte."""
    operation_id = other.finished("/crashes")["id"] if case == "foreign" else HOSTILE_IDS[case]
    expected = assert_problem(caller.get(f"/operations/{UNKNOWN}"), 404, "operation-not-found")
    assert "operation_id" not in expected
    reference = caller.get(f"/operations/{UNKNOWN}")
    volatile = {"date", "x-process"}
    for method, rest in ROUTES:
        for query in ("", "?wait=1"):
            target = f"/operations/{operation_id}{rest}{query}"
            lines = [f"{method} {target} HTTP/1.1", "Host: x", f"X-Caller: {caller.name}", "Content-Length: 0"]
            request = "\r\n".join([*lines, "Connection: keep-alive", "", ""])
            status, headers, body = server.exchange(request.encode())
            assert status == 404, (method, target)
            assert body == reference.content, (method, target)
            mine = {name: value for name, value in headers.items() if name not in volatile}
            assert mine == {name: value for name, value in reference.headers.items() if name not in volatile}
    if case == "foreign":
        assert other.operation(operation_id)["status"] == "failed"


def test_deleted_and_expired_are_410(caller, other, server, start_server, expire):
    """What the owner deleted, and what has expired, is 410 on every route for the owner and 404 for others."""
    operation = caller.finished("/crashes")
    assert caller.delete(operation["links"]["self"]).status_code == 204
    assert_gone(caller, other, operation["id"], "operation-deleted")
    if server.shared:
        return  # expiring takes a restart, which one server shows
    stopped = start_server("few", workers=False)
    before = stopped.caller(caller.name)
    expired = before.submit("/reports", json=ORDER, headers={"Idempotency-Key": "k"})
    assert before.post(expired["links"]["cancel"]).status_code == 200
    stopped.stop()
    expire(stopped, expired["id"])
    restarted = start_server("few", stopped.folder)
    mine, theirs = restarted.caller(caller.name), restarted.caller()
    eventually(lambda: mine.get(expired["links"]["self"]).status_code != 200, "the expiry", restarted)
    assert_gone(mine, theirs, expired["id"], "operation-expired")
    assert_problem(mine.post("/reports", json=ORDER, headers={"Idempotency-Key": "k"}), 410, "operation-expired")
    assert mine.listed() == []


def assert_gone(caller, other, operation_id, code):
    """Check the tombstone on every route."""
    for method, rest in ROUTES:
        problem = assert_problem(caller.request(method, f"/operations/{operation_id}{rest}"), 410, code)
        assert problem["operation_id"] == operation_id
        assert_problem(other.request(method, f"/operations/{operation_id}{rest}"), 404, "operation-not-found")
    assert_problem(caller.get(f"/operations/{operation_id}", params={"wait": 30}), 410, code)
    assert_problem(caller.get(f"/operations/{operation_id}/result", headers={"Prefer": "wait=30"}), 410, code)


class TestOtherMethods:
    """Methods that the operation routes do not have."""

    @pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH", "TRACE"])
    @pytest.mark.parametrize("rest", ["", "/result", "/cancel", "/retry"])
    def test_other_methods_are_405(self, caller, server, method, rest):
        """Another method is refused with ``Allow``, and changes nothing."""
        operation = caller.finished("/reports", json=ORDER)
        answer = caller.request(method, operation["links"]["self"] + rest)
        assert answer.status_code == 405
        allowed = {"": {"GET", "DELETE"}, "/result": {"GET"}}.get(rest, {"POST"})
        assert set(answer.headers["allow"].replace(" ", "").split(",")) == allowed
        assert caller.operation(operation["id"]) == operation

    def test_a_head_of_a_submit_route_creates_nothing(self, caller):
        """Looking at a submit route submits nothing."""
        assert caller.request("HEAD", "/reports").status_code == 405
        assert caller.request("OPTIONS", "/reports").status_code == 405
        assert caller.get("/reports").status_code == 405
        assert caller.listed() == []


class TestPaths:
    """Links where the application is not at the root."""

    @pytest.mark.parametrize(
        ("route", "base"), [("/reports", "/api/operations"), ("/inner/reports", "/api/inner/v1/operations")]
    )
    def test_links_have_the_root_path_mount_and_prefix(self, rooted, route, base):
        """Links, ``Location`` and ``Link`` are what the client reaches through the proxy, and they work."""
        caller = rooted.caller()
        answer = caller.post(route, json=ORDER)
        assert answer.status_code == 202
        operation = answer.json()
        here = f"{base}/{operation['id']}"
        assert answer.headers["location"] == here
        assert answer.headers["operation-location"] == here
        links = {"self": here, "result": f"{here}/result", "cancel": f"{here}/cancel", "retry": f"{here}/retry"}
        assert links.items() <= operation["links"].items()
        finished = caller.get(here.removeprefix("/api"), params={"wait": 30}).json()
        assert finished["status"] == "succeeded"
        assert finished["links"] == operation["links"]
        caller.post(route, json=ORDER)
        page = caller.get(base.removeprefix("/api"), params={"page_size": 1})
        assert page.headers["link"].startswith(f"<{base}?")
        following = page.links["next"]["url"].removeprefix("/api")
        assert [item["id"] for item in caller.get(following).json()["items"]] == [operation["id"]]
