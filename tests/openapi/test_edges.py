"""What schemathesis found, kept as tests of their own."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from tests.openapi.application import application


@pytest.fixture(scope="module")
def client():
    with TestClient(application(store="memory:", owned=False)) as client:
        yield client


@pytest.fixture(scope="module")
def file(client):
    """The result URL of an operation that gave a file of 40 bytes."""
    answer = client.put("/exports/rain", headers={"Prefer": "wait=30"})
    assert answer.status_code == 200
    return f"/operations/{answer.headers['operation-id']}/result"


@pytest.mark.parametrize(
    "asked", ["lines=1-2", "bytes", "bytes=", "bytes=a-b", "bytes=5-2", "bytes=-", "bytes=1-2;3", "bytes=" + "9" * 5000]
)
def test_a_range_that_is_not_understood_is_ignored(client, file, asked):
    """The whole file, and not a 400 of another form (RFC 9110 §14.2)."""
    answer = client.get(file, headers={"Range": asked})
    assert (answer.status_code, answer.text) == (200, "rain" * 10)


@pytest.mark.parametrize(("asked", "body"), [("bytes=0-1", "ra"), ("bytes=-2", "in"), ("BYTES=38-", "in")])
def test_a_range_that_is_understood_gives_the_part(client, file, asked, body):
    """206 with the bytes asked for."""
    answer = client.get(file, headers={"Range": asked})
    assert (answer.status_code, answer.text) == (206, body)


def test_a_range_outside_of_the_file_is_416(client, file):
    """With the file's length, so that the client can ask again."""
    answer = client.get(file, headers={"Range": "bytes=40-"})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */40")


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "PATCH", "POST"])
def test_other_methods_are_405_with_all_allowed_ones(client, method):
    """`Allow` names every method of the path, though each is a route of its own (RFC 9110 §15.5.6)."""
    answer = client.request(method, "/operations/op_1")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "DELETE, GET"


@pytest.mark.parametrize("number", ["0.30000000000000004", "1e-07", "2.2250738585e-313", "0"])
def test_numbers_are_read_as_json_writes_them(client, number):
    """Programs pass their floats on as they are, in the query and in headers."""
    accepted = client.post("/reports", json={"pages": 1, "title": "a"}, headers={"Operation-Delay": number})
    assert accepted.status_code == 202
    assert client.get(accepted.headers["location"], params={"wait": number}).status_code == 200


@pytest.mark.parametrize("number", ["1e10", "1" * 400, "1e400"])
def test_a_longer_wait_is_no_error(client, number):
    """It counts as the longest; what is not found is not waited for."""
    assert client.get("/operations/op_1", params={"wait": number}).status_code == 404


@pytest.mark.parametrize("number", ["-1", "nan", "inf", "1_0", "٣", "", "0x1"])
def test_numbers_out_of_range_or_of_another_form_are_refused(client, number):
    """400 and not a surprise."""
    assert client.get("/operations/op_1", params={"wait": number}).status_code == 400


def test_if_none_match_means_nothing_on_a_post(client):
    """A submit that waits gives its answer, never a 304 (RFC 9110 §13.1.2)."""
    headers = {"Prefer": "wait=30", "If-None-Match": "*"}
    answer = client.post("/reports", json={"pages": 1, "title": "a"}, headers=headers)
    assert answer.status_code == 200
