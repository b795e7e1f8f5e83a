"""Submitting: the application's own route (docs/contract.md)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.contract.serving import Background, assert_problem, fresh_name

ID = re.compile(r"op_[0-9A-HJKMNP-TV-Z]{32}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ORDER = {"pages": 3, "title": "rain"}
REPORT = {"pages": 3, "title": "rain"}


def moment(text):
    """Read a time of the wire."""
    assert MOMENT.fullmatch(text), text
    return datetime.fromisoformat(text)


def assert_accepted(answer):
    """Check everything that a 202 promises, and return the operation."""
    assert answer.status_code == 202, answer.text
    operation = answer.json()
    assert ID.fullmatch(operation["id"])
    assert answer.headers["location"] == f"/operations/{operation['id']}"
    assert answer.headers["operation-location"] == answer.headers["location"]
    assert re.fullmatch("[1-9][0-9]*", answer.headers["retry-after"])
    assert answer.headers["vary"] == "Prefer"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.content))
    return operation


# --- rows ---------------------------------------------------------------------------------------------------------


def test_invalid_input_creates_nothing(caller, server):
    """Input that does not validate and callers without permission get FastAPI's own answers; nothing is created."""
    invalid = caller.post("/reports", json={"pages": 0})
    assert invalid.status_code == 422
    assert invalid.json()["detail"][0]["loc"] == ["body", "pages"]
    assert caller.post("/reports", content=b"{", headers={"Content-Type": "application/json"}).status_code == 422
    assert caller.post("/reports").status_code == 422
    assert caller.post("/guarded").status_code == 403
    assert server.fresh().post("/reports", json=ORDER).status_code == 401
    assert caller.get("/numbers/seven").status_code == 422
    assert caller.listed() == []


def test_accepted_is_202_with_location(caller):
    """A valid request is answered 202 with the operation and where it is, and the operation is really there."""
    answer = caller.post("/reports", json=ORDER)
    operation = assert_accepted(answer)
    assert "preference-applied" not in answer.headers
    assert operation["kind"] == "build_report"
    assert operation["status"] == "queued"
    assert operation["done"] is False
    assert operation["version"] == 1
    assert operation["attempt"] == 0
    assert operation["max_attempts"] == 1
    assert operation["poll_after_ms"] >= 1
    assert operation["metadata"] == {}
    assert operation["result"] is None
    assert operation["result_inline"] is False
    here = answer.headers["location"]
    expected = {"self": here, "result": f"{here}/result", "cancel": f"{here}/cancel", "retry": f"{here}/retry"}
    assert expected.items() <= operation["links"].items()
    assert moment(operation["created_at"]) == moment(operation["updated_at"])
    assert caller.get(here).json()["id"] == operation["id"]


def test_prefer_respond_async_is_applied(caller):
    """``Prefer: respond-async`` gives the same 202 and says that it was applied."""
    answer = caller.post("/reports", json=ORDER, headers={"Prefer": "respond-async"})
    assert_accepted(answer)
    assert answer.headers["preference-applied"] == "respond-async"


@pytest.mark.parametrize("route", ["/reports", "/threads", "/processes"])
def test_prefer_wait_gives_the_real_answer(caller, route):
    """``Prefer: wait=N`` gives the function's own status, media type and bytes when it finishes in time."""
    answer = caller.post(route, json=ORDER, headers={"Prefer": "wait=30"})
    assert answer.status_code == 200
    assert answer.content == b'{"pages":3,"title":"rain"}'
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["preference-applied"] == "wait=30"
    assert answer.headers["vary"] == "Prefer"
    operation = caller.operation(answer.headers["operation-id"])
    assert operation["status"] == "succeeded"
    assert operation["result"] == REPORT


def test_prefer_wait_that_runs_out_is_202(caller, server):
    """An operation that is not finished in time is answered 202, never 200 with an unfinished body."""
    name = fresh_name()
    answer = caller.post(f"/held/{name}", headers={"Prefer": "wait=1"})
    operation = assert_accepted(answer)
    assert answer.headers["preference-applied"] == "wait=1"
    assert operation["done"] is False
    server.give(name)
    assert caller.done(operation["id"])["result"] == {"name": name}


MALFORMED = {
    "empty": [""],
    "comma": [","],
    "commas": [",,, ,"],
    "semicolons": [";;;"],
    "no name": ["=5"],
    "two equals": ["wait==5"],
    "wait without a value": ["wait"],
    "wait with an empty value": ["wait="],
    "wait with an empty string": ['wait=""'],
    "negative": ["wait=-1"],
    "plus": ["wait=+5"],
    "fraction": ["wait=1.5"],
    "exponent": ["wait=1e1"],
    "hexadecimal": ["wait=0x5"],
    "word": ["wait=soon"],
    "unit": ["wait=5s"],
    "infinity": ["wait=inf"],
    "not a number": ["wait=nan"],
    "digits of another script": ["wait=٣".encode()],
    "latin-1": [b"wait=\xb2"],
    "raw bytes": [b"\xff\xfe\x80"],
    "inner space": ["wait=1 0"],
    "no comma": ["wait=10 respond-async"],
    "unterminated string": ['wait="10'],
    "only a quote": ['"'],
    "quoted name": ['"wait"=10'],
    "colon": ["wait:10"],
    "wait as a parameter": ["foo;wait=10"],
    "wait inside a string": ['foo="a, wait=10"'],
    "respond-async inside a string": ['foo="a, respond-async, b"'],
    "respond-async with a value": ["respond-async=yes"],
    "respond-async misspelled": ["respond_async"],
    "unknown": ["return=minimal"],
    "braces": ["{wait=10}"],
    "brackets": ["[wait]=10"],
    "long": ["x" * 10_000],
    "many": [", ".join(["foo"] * 2000)],
    "long garbage": ['"' * 5000 + "," * 2000],
    "two headers": ["wait=x", "=respond-async"],
}


@pytest.mark.parametrize("values", MALFORMED.values(), ids=MALFORMED)
def test_malformed_prefer_is_ignored(caller, values):
    """A ``Prefer`` that cannot be read, or asks for something unknown, is as if it were absent (RFC 7240)."""
    answer = caller.post("/reports", json=ORDER, headers=[("Prefer", value) for value in values])
    assert_accepted(answer)
    assert "preference-applied" not in answer.headers


def test_operation_timeout_sets_the_deadline(caller):
    """``Operation-Timeout`` limits the whole operation; what cannot be read is refused."""
    for text, seconds in {"300": 300, "5m": 300, "1.5h": 5400, "90s": 90}.items():
        operation = caller.submit("/reports", json=ORDER, headers={"Operation-Timeout": text})
        assert moment(operation["deadline_at"]) - moment(operation["created_at"]) == timedelta(seconds=seconds)
    failed = caller.finished("/endless", headers={"Operation-Timeout": "200ms"})
    assert failed["error"]["type"] == "urn:raincheck:problem:deadline-exceeded"
    before = len(caller.listed(page_size=200))
    malformed = ["", "0", "-1", "soon", "5 minutes!", "nan", "inf", "1e400", "9" * 40, "5m,5m", "٣".encode(), "PT5M"]
    for text in malformed:
        assert_problem(
            caller.post("/reports", json=ORDER, headers={"Operation-Timeout": text}), 400, "malformed-request"
        )
    twice = [("Operation-Timeout", "5"), ("Operation-Timeout", "5")]
    assert_problem(caller.post("/reports", json=ORDER, headers=twice), 400, "malformed-request")
    assert len(caller.listed(page_size=200)) == before


def test_operation_metadata_is_kept(caller):
    """``Operation-Metadata`` is kept with the operation and reaches the function; malformed, it is refused."""
    operation = caller.submit("/looks", headers={"Operation-Metadata": 'customer="42", env="te\\"st, one"'})
    expected = {"customer": "42", "env": 'te"st, one'}
    assert operation["metadata"] == expected
    assert caller.done(operation["id"])["result"]["metadata"] == expected
    sixteen = ", ".join(f'k{number}="{"v" * 256}"' for number in range(16))
    assert len(caller.submit("/looks", headers={"Operation-Metadata": sixteen})["metadata"]) == 16
    two = [("Operation-Metadata", 'a="1"'), ("Operation-Metadata", 'b="2"')]
    assert caller.submit("/looks", headers=two)["metadata"] == {"a": "1", "b": "2"}
    before = len(caller.listed())
    malformed = [
        'a="1', 'a="1",', "a=1", "a=token", "a", "a=?1", "a=:aGk=:", 'A="1"', '="1"', '"a"="1"', 'a="é"'.encode(),
        'a=("1" "2")', 'a="\\n"', '1a="1"', 'a = "1"', "=" * 100, "x" * 10_000, sixteen + ', k16="1"',
        f'a="{"v" * 257}"', f'{"k" * 257}="v"', "{}", '{"a": "1"}',
    ]  # fmt: skip
    for text in malformed:
        answer = caller.post("/looks", headers={"Operation-Metadata": text})
        assert_problem(answer, 400, "malformed-request")
    assert len(caller.listed()) == before


def test_operation_delay_schedules(caller):
    """``Operation-Delay`` and ``Operation-Not-Before`` let the operation wait; malformed or both are refused."""
    delayed = caller.submit("/reports", json=ORDER, headers={"Operation-Delay": "3600"})
    wait = moment(delayed["scheduled_for"]) - moment(delayed["created_at"])
    assert timedelta(seconds=3599) <= wait <= timedelta(seconds=3600)
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    for text in (at.strftime("%Y-%m-%dT%H:%M:%SZ"), at.strftime("%a, %d %b %Y %H:%M:%S GMT")):
        later = caller.submit("/reports", json=ORDER, headers={"Operation-Not-Before": text})
        assert moment(later["scheduled_for"]) == at
        assert caller.operation(later["id"])["status"] == "queued"
    soon = caller.submit("/reports", json=ORDER, headers={"Operation-Delay": "0.3"})
    finished = caller.done(soon["id"])
    assert moment(finished["started_at"]) >= moment(finished["scheduled_for"])
    before = len(caller.listed())
    for text in ["", "-1", "soon", "e3", "nan", "inf", "9" * 12, "5m", "1,2", "٣".encode(), "0x10"]:
        answer = caller.post("/reports", json=ORDER, headers={"Operation-Delay": text})
        assert_problem(answer, 400, "malformed-request")
    for text in [
        "",
        "tomorrow",
        "2030-01-31",
        "2030-01-31T12:00:00",
        "2030-13-31T12:00:00Z",
        "9999-12-31T23:59:59Z",
        "0",
    ]:
        answer = caller.post("/reports", json=ORDER, headers={"Operation-Not-Before": text})
        assert_problem(answer, 400, "malformed-request")
    both = {"Operation-Delay": "5", "Operation-Not-Before": "2020-01-31T12:00:00Z"}
    assert_problem(caller.post("/reports", json=ORDER, headers=both), 400, "malformed-request")
    assert len(caller.listed()) == before


def test_callback_url_is_refused(caller):
    """Where callbacks are off, asking for one is refused, and nothing is created."""
    for headers in (
        {"Callback-Url": "https://example.com/hook"},
        {"Callback-Events": "operation.succeeded"},
        {"Callback-Url": ""},
    ):
        assert_problem(caller.post("/reports", json=ORDER, headers=headers), 400, "callbacks-disabled")
    assert caller.listed() == []


# --- edges --------------------------------------------------------------------------------------------------------


class TestPreferences:
    """What counts of a ``Prefer``, and what is said to be applied."""

    @pytest.mark.parametrize(
        ("values", "status", "applied"),
        [
            (["respond-async, wait=30"], 200, "wait=30"),
            (["wait=30, respond-async"], 200, "wait=30"),
            (["respond-async", "wait=30"], 200, "wait=30"),
            (["WAIT=30"], 200, "wait=30"),
            (["wait = 30"], 200, "wait=30"),
            (['wait="30"'], 200, "wait=30"),
            (["wait=30;foo=bar"], 200, "wait=30"),
            (["wait=30, wait=0"], 200, "wait=30"),
            (["wait=30", "wait=0"], 200, "wait=30"),
            (["return=minimal, wait=30, handling=lenient"], 200, "wait=30"),
            ([', ,wait=30,,"x"'], 200, "wait=30"),
            (["wait=61"], 200, "wait=60"),
            (["wait=999999999"], 200, "wait=60"),
            (["wait=" + "9" * 400], 200, "wait=60"),
            (["wait=030"], 200, "wait=30"),
            (["Respond-Async"], 202, "respond-async"),
            (['respond-async=""'], 202, "respond-async"),
            (["respond-async;foo=1"], 202, "respond-async"),
            (["wait=soon, respond-async"], 202, "respond-async"),
        ],
    )
    def test_what_can_be_read_is_applied(self, caller, values, status, applied):
        """Readable preferences count, whatever stands beside them; ``Preference-Applied`` names those that counted."""
        answer = caller.post("/reports", json=ORDER, headers=[("Prefer", value) for value in values])
        assert answer.status_code == status
        assert answer.headers["preference-applied"] == applied

    def test_wait_zero_answers_at_once(self, caller, server):
        """``wait=0`` waits for nothing, on a route that waits by itself too."""
        name = fresh_name()
        answer = caller.post(f"/waiting/{name}", headers={"Prefer": "wait=0"})
        assert_accepted(answer)
        assert answer.headers["preference-applied"] == "wait=0"
        server.give(name)

    def test_the_routes_own_wait_gives_the_real_answer(self, caller, server):
        """A route with ``wait=`` waits for clients that state no preference, and applies none."""
        name = fresh_name()
        server.give(name)
        answer = caller.post(f"/waiting/{name}")
        assert answer.status_code == 200
        assert answer.json() == {"name": name}
        assert answer.headers["operation-id"].startswith("op_")
        assert "preference-applied" not in answer.headers

    def test_respond_async_outranks_the_routes_own_wait(self, caller, server):
        """A client that wants no wait gets none."""
        name = fresh_name()
        answer = caller.post(f"/waiting/{name}", headers={"Prefer": "respond-async"})
        assert_accepted(answer)
        assert answer.headers["preference-applied"] == "respond-async"
        server.give(name)

    def test_a_wait_is_answered_when_the_work_ends(self, caller, server):
        """The answer comes with the end of the work, wherever it runs."""
        name = fresh_name()
        waiting = Background(caller.post, f"/held-threads/{name}", headers={"Prefer": "wait=60"})
        server.await_signal(f"{name}.started")
        server.give(name)
        assert waiting.answer.json() == {"name": name}

    def test_a_failure_in_time_is_answered_as_the_result_route_does(self, caller):
        """A function that fails while the client waits gives the client its real error."""
        answer = caller.post("/shortages", headers={"Prefer": "wait=30"})
        problem = assert_problem(answer, 422, "no-stock")
        assert problem["operation_id"] == answer.headers["operation-id"]
        assert answer.headers["preference-applied"] == "wait=30"
        assert caller.post("/refusals", headers={"Prefer": "wait=30"}).status_code == 418

    def test_a_response_in_time_keeps_no_cookie(self, caller):
        """What a waiting client gets is what everybody gets later: no cookie, nothing of one connection."""
        answer = caller.post("/greetings", headers={"Prefer": "wait=30"})
        assert answer.status_code == 201
        assert answer.headers["x-greeting"] == "hello"
        assert "set-cookie" not in answer.headers
        assert "keep-alive" not in answer.headers


class TestInputs:
    """What requests carry reaches the function."""

    def test_get_routes_may_be_operations(self, caller):
        """A GET operation reads path and query, and is never cached."""
        answer = caller.get("/numbers/7?flag=true")
        operation = assert_accepted(answer)
        assert caller.done(operation["id"])["result"] == {"number": 7, "flag": True}

    @pytest.mark.parametrize("size", [11, 3_000_000])
    def test_uploads_reach_the_function(self, caller, size):
        """An upload is kept with the operation, whatever its size."""
        content = b"hello " + b"x" * (size - 6)
        operation = caller.finished("/uploads", files={"file": ("a b.txt", content)}, data={"note": "n"})
        assert operation["result"] == {"filename": "a b.txt", "size": size, "note": "n", "head": "hello"}

    @pytest.mark.parametrize(
        "document",
        [{"text": "é \u2028 \U0001f600 \x00"}, {"large": "x" * 400_000}, {"n": 2**60, "f": 0.1, "nested": [[{}]] * 20}],
        ids=["characters", "large", "numbers"],
    )
    def test_json_reaches_the_function_unchanged(self, caller, document):
        """What the function sees is what the client sent, and so is the result."""
        operation = caller.finished("/echoes", json=document)
        assert operation["status"] == "succeeded"
        assert caller.get(operation["links"]["result"]).json() == document

    def test_the_resource_is_ascii(self, caller):
        """The resource is ASCII JSON, so that no reader can misread it."""
        operation = caller.finished("/echoes", json={"text": "é \u2028"})
        assert caller.get(operation["links"]["self"]).content.isascii()
