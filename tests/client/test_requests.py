"""What the client sends, and how it reads answers that look like another."""

from __future__ import annotations

import pytest

from raincheck.client import RemoteFailed
from raincheck.client.addresses import Addresses
from raincheck.client.submitting import SubmitHeaders
from tests.client.scripted import Answer, Held, scripted
from tests.client.sides import client_of

ID = "op_06H0JHQ7PTG7NQSN366ED6PBE9V07KZY"
DONE = {"id": ID, "status": "succeeded", "done": True, "version": 3, "links": {}}


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("/reports", "https://example.com/api/reports"),
        ("reports", "https://example.com/api/reports"),
        ("/reports:generate", "https://example.com/api/reports:generate"),
        ("reports:generate?deep=1", "https://example.com/api/reports:generate?deep=1"),
        ("/fetch?url=https://a.example/b", "https://example.com/api/fetch?url=https://a.example/b"),
        ("https://example.com/elsewhere", "https://example.com/elsewhere"),
    ],
)
def test_a_route_is_below_the_base_whatever_is_in_it(path, url):
    """A colon makes no scheme of it, and an address in its query no address."""
    assert str(Addresses("https://example.com/api").of_route(path)) == url


@pytest.mark.parametrize(("wait", "preference"), [(5, "wait=5"), (2.5, "wait=3"), (0.1, "wait=1"), (1e9, "wait=60")])
def test_a_wait_is_asked_for_in_whole_seconds(wait, preference):
    """Servers ignore any other ``Prefer: wait``, and would not wait at all."""
    assert SubmitHeaders(wait=wait).render()["Prefer"] == preference


@pytest.mark.parametrize("name", ["Idempotency-Key", "idempotency-key", "IDEMPOTENCY-KEY"])
def test_a_callers_own_header_is_sent_once(side, name):
    """In the place of the client's, however it is spelled; servers refuse a key that comes twice."""
    with (
        scripted(lambda *_: Answer.json({**DONE, "done": False, "status": "queued"}, 202)) as server,
        client_of(side, server.url) as client,
    ):
        client.submit("/k", headers={name: "mine"})
        (seen,) = server.seen
    assert seen.headers["idempotency-key"] == "mine"


def test_a_functions_own_202_is_its_result(side):
    """It names its operation in a header, which the 202 that accepts an operation does not."""
    answer = Answer.json({"pages": 3}, 202, operation_id=ID, operation_status="succeeded")
    with (
        scripted(lambda seen, _: answer if seen.method == "POST" else Answer.json(DONE)) as server,
        client_of(side, server.url) as client,
    ):
        handle = client.submit("/k", wait=5)
        assert handle.id == ID
        assert handle.result() == {"pages": 3}


def test_a_failure_with_a_good_status_is_no_result(side):
    """``raise HTTPException(200)`` fails an operation; its answer says so beside its status."""
    answer = Answer.json({"detail": "no"}, 200, operation_id=ID, operation_status="failed")
    failed = {**DONE, "status": "failed", "error": {"type": "about:blank", "title": "OK", "status": 200}}
    with (
        scripted(lambda seen, _: answer if seen.method == "POST" else Answer.json(failed)) as server,
        client_of(side, server.url) as client,
        pytest.raises(RemoteFailed),
    ):
        client.submit("/k", wait=5).result()


@pytest.mark.parametrize("known", [True, False], ids=["the length is known", "it is not"])
def test_a_download_that_is_cut_after_its_last_byte_is_whole(side, tmp_path, known):
    """The rest does not exist: 416 is no result, and is never written into the file."""
    content = bytes(range(256)) * 400
    whole = iter([False, True])

    def cutting(seen, handler):
        if not seen.path.endswith("/result"):
            return Answer.json(DONE)
        named = {"etag": '"one"', "operation-id": ID}
        if "range" in seen.headers:
            total = {"content-range": f"bytes */{len(content)}"} if known else {}
            return Answer(416, b"no such part", named | total)
        if next(whole):
            return Answer(200, content, named)
        handler.send_response(200)
        for name, value in {**named, "transfer-encoding": "chunked"}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))  # and no last chunk
        raise Held

    with scripted(cutting) as server, client_of(side, server.url) as client:
        assert client.operation(ID).save(tmp_path / "out") == len(content)
        assert (tmp_path / "out").read_bytes() == content
