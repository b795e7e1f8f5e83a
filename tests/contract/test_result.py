"""The result of an operation (docs/contract.md)."""

from __future__ import annotations

import re

import pytest

from tests.contract.serving import Background, assert_problem, fresh_name

STRONG = re.compile(r'"[^"]+"')
ORDER = {"pages": 3, "title": "rain"}


def result_of(caller, operation, **options):
    """Read a result, and check what every answer carries."""
    answer = caller.get(operation["links"]["result"], **options)
    assert answer.headers["operation-id"] == operation["id"]
    assert answer.headers["operation-status"] == caller.operation(operation["id"])["status"]
    assert "set-cookie" not in answer.headers
    assert "Traceback" not in answer.text
    assert "/srv/secret" not in answer.text
    return answer


# --- rows ---------------------------------------------------------------------------------------------------------


def test_result_replays_the_functions_answer(caller):
    """The function's status, media type, headers and bytes come again, with a strong ETag and without cookies."""
    report = result_of(caller, caller.finished("/reports", json=ORDER))
    assert report.status_code == 200
    assert report.content == b'{"pages":3,"title":"rain"}'
    assert report.headers["content-type"] == "application/json"
    assert STRONG.fullmatch(report.headers["etag"])
    greeting = result_of(caller, caller.finished("/greetings"))
    assert greeting.status_code == 201
    assert greeting.headers["x-greeting"] == "hello"
    assert "keep-alive" not in greeting.headers
    assert greeting.headers.get("connection") != "close"
    page = result_of(caller, caller.finished("/pages"))
    assert page.status_code == 203
    assert page.headers["content-type"] == "text/plain; charset=utf-8"
    assert page.headers["x-page"] == "1"
    assert "proxy-authenticate" not in page.headers
    assert page.content == "plain é text\n".encode()
    assert page.headers["content-length"] == str(len(page.content))
    nothing = result_of(caller, caller.finished("/nothing"))
    assert nothing.status_code == 204
    assert nothing.content == b""


def test_file_results_honour_range(caller):
    """A file result is served whole or in ranges, the same bytes from every process."""
    operation = caller.finished("/downloads/25600")
    assert operation["result_inline"] is False
    whole = result_of(caller, operation)
    content = bytes(range(256)) * 100
    assert whole.status_code == 200
    assert whole.content == content
    assert whole.headers["content-type"] == "application/x-bytes"
    assert whole.headers["content-disposition"] == 'attachment; filename="numbers.bin"'
    assert whole.headers["accept-ranges"] == "bytes"
    etag = whole.headers["etag"]
    assert STRONG.fullmatch(etag)
    for text, start, end in (("bytes=10-19", 10, 20), ("bytes=-5", 25595, 25600), ("bytes=25590-", 25590, 25600)):
        part = result_of(caller, operation, headers={"Range": text})
        assert part.status_code == 206
        assert part.content == content[start:end]
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/25600"
        assert part.headers["etag"] == etag
    assert result_of(caller, operation, headers={"Range": "bytes=0-9", "If-Range": etag}).status_code == 206
    assert result_of(caller, operation, headers={"Range": "bytes=0-9", "If-Range": '"other"'}).status_code == 200
    outside = result_of(caller, operation, headers={"Range": "bytes=99999-"})
    assert (outside.status_code, outside.headers["content-range"]) == (416, "bytes */25600")
    assert outside.headers["operation-id"] == operation["id"]


def test_failed_on_purpose_is_rendered_by_the_application(caller):
    """An ``HTTPException`` is rendered by the application's own handler, which need not know of operations."""
    operation = caller.finished("/refusals")
    assert operation["error"]["type"] == "urn:raincheck:problem:http-error"
    assert operation["error"]["status"] == 418
    answer = result_of(caller, operation)
    assert answer.status_code == 418
    assert answer.json() == {"application": {"reason": "teapot"}}
    assert answer.headers["x-rendered-by"] == "application"
    assert answer.headers["cache-control"] == "no-store"


def test_operation_failed_is_its_problem(caller):
    """``OperationFailed`` is the problem that the function described, here and in the resource."""
    operation = caller.finished("/shortages")
    answer = result_of(caller, operation)
    problem = assert_problem(answer, 422, "no-stock")
    assert problem == operation["error"]
    assert problem["title"] == "Nothing left"
    assert problem["detail"] == "3 missing"
    assert problem["left"] == 3
    assert problem["operation_id"] == operation["id"]


@pytest.mark.parametrize(
    ("route", "code"),
    [
        ("/crashes", "unhandled-error"),
        ("/process-crashes", "unhandled-error"),
        ("/exhausted", "unhandled-error"),
        ("/deaths", "worker-lost"),
        ("/mismatches", "result-mismatch"),
    ],
)
def test_unhandled_error_is_500_without_traceback(caller, route, code):
    """An unexpected error or a lost worker is a 500 problem that tells nothing of the server's inside."""
    operation = caller.finished(route)
    assert operation["status"] == "failed"
    problem = assert_problem(result_of(caller, operation), 500, code)
    assert problem["operation_id"] == operation["id"]
    assert problem == operation["error"]


def test_deadline_is_504(caller):
    """What ran longer than its kind or its request allows is a 504 problem."""
    for operation in (
        caller.finished("/overruns"),
        caller.finished("/endless", headers={"Operation-Timeout": "200ms"}),
        caller.finished("/reports", json=ORDER, headers={"Operation-Timeout": "200ms", "Operation-Delay": "3600"}),
    ):
        assert_problem(result_of(caller, operation), 504, "deadline-exceeded")


def test_cancelled_result_is_409(caller):
    """A cancelled operation has no result."""
    operation = caller.submit("/reports", json=ORDER, headers={"Operation-Delay": "3600"})
    assert caller.post(operation["links"]["cancel"]).status_code == 200
    problem = assert_problem(result_of(caller, operation), 409, "operation-cancelled")
    assert problem["operation_id"] == operation["id"]


def test_unfinished_result_is_409(caller, server):
    """The result of an unfinished operation is not ready; ``Prefer: wait`` waits first."""
    name, mark = fresh_name(), fresh_name()
    operation = caller.submit(f"/held/{name}")
    server.await_signal(f"{name}.started")
    for headers in ({}, {"Prefer": "wait=1"}, {"Prefer": "wait=soon"}):
        answer = result_of(caller, operation, headers=headers)
        assert_problem(answer, 409, "result-not-ready")
        assert int(answer.headers["retry-after"]) >= 1
    link = operation["links"]["result"]
    waiting = Background(caller.get, link, headers={"Prefer": "wait=60", "X-Mark": mark})
    server.await_signal(mark)
    server.give(name)
    assert waiting.answer.json() == {"name": name}
    assert waiting.answer.headers["preference-applied"] == "wait=60"
    assert waiting.answer.headers["operation-status"] == "succeeded"


# --- edges --------------------------------------------------------------------------------------------------------


class TestReplays:
    """Results read again and again."""

    @pytest.mark.parametrize(
        ("route", "body"), [("/reports", ORDER), ("/downloads/512", None), ("/large/300000", None)]
    )
    def test_a_result_is_the_same_every_time(self, caller, route, body):
        """Bytes and ETag do not change between reads and processes; the ETag selects 304."""
        operation = caller.finished(route, json=body) if body else caller.finished(route)
        answers = [result_of(caller, operation) for _ in range(4)]
        assert len({answer.content for answer in answers}) == 1
        assert len({answer.headers["etag"] for answer in answers}) == 1
        etag = answers[0].headers["etag"]
        for tag in (etag, f"W/{etag}", "*", f'"x", {etag}'):
            unchanged = result_of(caller, operation, headers={"If-None-Match": tag})
            assert unchanged.status_code == 304
            assert unchanged.content == b""
            assert unchanged.headers["etag"] == etag
        assert result_of(caller, operation, headers={"If-None-Match": '"other"'}).status_code == 200

    def test_large_json_is_not_inline(self, caller):
        """JSON above 64 KiB is read from the result route; smaller is in the resource too."""
        large = caller.finished("/large/70000")
        assert large["result_inline"] is False
        assert large["result"] is None
        assert result_of(caller, large).json() == {"text": "x" * 70_000}
        small = caller.finished("/large/60000")
        assert small["result_inline"] is True
        assert small["result"] == {"text": "x" * 60_000}

    def test_other_media_types_are_not_inline(self, caller):
        """Only JSON can stand in the resource."""
        operation = caller.finished("/pages")
        assert operation["result_inline"] is False
        assert operation["result"] is None

    def test_a_result_of_null_is_inline(self, caller, server):
        """A function that returns None has the result null."""
        name = fresh_name()
        server.give(name)
        operation = caller.finished(f"/recoveries/{name}")
        assert operation["result_inline"] is True

    def test_a_failure_on_purpose_is_not_tried_again(self, caller):
        """A retried kind ends at once when it fails on purpose; attempts that failed are counted otherwise."""
        steady = caller.finished("/unsteady")
        assert steady["status"] == "succeeded"
        assert steady["attempt"] == 3
        assert steady["max_attempts"] == 3
        assert steady["result"] == {"attempt": 3}
        exhausted = caller.finished("/exhausted")
        assert exhausted["attempt"] == 2

    def test_retry_later_counts_no_attempt(self, caller, server):
        """A function may put itself off as often as it likes."""
        name = fresh_name()
        operation = caller.submit(f"/later/{name}")
        server.await_signal(f"{name}.started")
        caller.until(operation["id"], "queued")
        server.give(name)
        result = caller.done(operation["id"])["result"]
        assert result["attempt"] == 1
        assert result["run"] >= 2
