"""Listing operations (docs/contract.md)."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta

import pytest

from tests.contract.serving import assert_problem

ORDER = {"pages": 3}
LATER = {"Operation-Delay": "3600"}


def submit_many(caller, number):
    """Submit operations and return their ids, newest first."""
    return [caller.submit("/reports", json=ORDER, headers=LATER)["id"] for _ in range(number)][::-1]


def page(caller, **parameters):
    """Return a page of the list."""
    answer = caller.get("/operations", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer


def ids(answer):
    """Return the ids of a page."""
    return [item["id"] for item in answer.json()["items"]]


# --- rows ---------------------------------------------------------------------------------------------------------


def test_list_is_newest_first_and_paged(caller):
    """Pages follow each other, newest first, each operation once, also while new ones come."""
    expected = submit_many(caller, 7)
    assert ids(page(caller)) == expected
    first = page(caller, page_size=3)
    assert first.headers["content-type"] == "application/json"
    assert set(first.json()) == {"items", "next_page_token"}
    token = first.json()["next_page_token"]
    assert first.links["next"]["url"].startswith("/operations?")
    newer = caller.submit("/reports", json=ORDER, headers=LATER)["id"]
    second = page(caller, page_size=3, page_token=token)
    assert ids(caller.get(first.links["next"]["url"])) == ids(second)
    third = page(caller, page_size=3, page_token=second.json()["next_page_token"])
    assert ids(first) + ids(second) + ids(third) == expected
    assert third.json()["next_page_token"] is None
    assert "link" not in third.headers
    assert ids(page(caller))[0] == newer
    exact = page(caller, page_size=8)
    assert exact.json()["next_page_token"] is None
    assert len(ids(page(caller, page_size=100_000))) == 8
    done = caller.finished("/reports", json=ORDER)
    (item,) = page(caller, status="succeeded").json()["items"]
    assert "result" not in item
    assert "result_inline" not in item
    assert item == {name: value for name, value in done.items() if name in item}


def test_list_filters(caller):
    """Each filter shows only what fits it, and filters combine."""
    failed = caller.finished("/crashes", headers={"Operation-Metadata": 'team="a", env="x"'})
    succeeded = caller.finished("/looks", headers={"Operation-Metadata": 'team="a", env="y"'})
    queued = caller.submit("/reports", json=ORDER, headers=LATER)
    cases = [
        ({"status": "failed"}, [failed]),
        ({"status": "queued,succeeded"}, [queued, succeeded]),
        ({"status": ["queued", "failed"]}, [queued, failed]),
        ({"status": "running"}, []),
        ({"kind": "look"}, [succeeded]),
        ({"kind": "no such kind"}, []),
        ({"kind": "loo%"}, []),
        ({"tag.team": "a"}, [succeeded, failed]),
        ({"tag.team": "a", "tag.env": "x"}, [failed]),
        ({"tag.team": "b"}, []),
        ({"tag.team": "a", "status": "succeeded"}, [succeeded]),
        ({"created_after": "2000-01-01T00:00:00Z"}, [queued, succeeded, failed]),
        ({"created_before": "2000-01-01T00:00:00Z"}, []),
        ({"created_after": "0001-01-01T00:00:00Z"}, [queued, succeeded, failed]),
        ({"created_before": "0001-01-01T00:00:00Z"}, []),
        ({"created_before": "9999-12-31T23:59:59Z"}, [queued, succeeded, failed]),
        ({"created_after": "2999-01-01T00:00:00+02:00"}, []),
        ({"tag.team' OR 1=1 --": "a"}, []),
    ]
    for parameters, expected in cases:
        assert ids(page(caller, **parameters)) == [one["id"] for one in expected], parameters
    moment = datetime.fromisoformat(succeeded["created_at"])
    after = (moment + timedelta(milliseconds=1)).isoformat()
    assert ids(page(caller, created_after=after, kind="look")) == []
    assert ids(page(caller, created_before=succeeded["created_at"], kind="look")) == []
    assert ids(page(caller, created_after=succeeded["created_at"], kind="look")) == [succeeded["id"]]
    assert ids(page(caller, created_before=after, kind="look")) == [succeeded["id"]]


HOSTILE_TOKENS = {
    "empty": "",
    "space": " ",
    "nul": "\x00",
    "word": "token",
    "number": "1",
    "null": "null",
    "id": "op_" + "0" * 32,
    "url": "https://example.com/",
    "path": "../../etc/passwd",
    "sql": "' OR 1=1 --",
    "unicode": "日本語",
    "emoji": "🔑",
    "padding": "====",
    "bad length": "A",
    "10 kB": "A" * 10_000,
    "deep": base64.urlsafe_b64encode(b"[" * 6000).decode(),
    "not json": base64.urlsafe_b64encode(b"not json").decode(),
    "not utf-8": base64.urlsafe_b64encode(b"\xff\xfe\xfd").decode(),
    "json null": base64.urlsafe_b64encode(b"null").decode(),
    "json number": base64.urlsafe_b64encode(b"12").decode(),
    "json text": base64.urlsafe_b64encode(b'"ab"').decode(),
    "json object": base64.urlsafe_b64encode(b'{"a": 1, "b": 2}').decode(),
    "json empty": base64.urlsafe_b64encode(b"[]").decode(),
    "json nulls": base64.urlsafe_b64encode(b"[null, null]").decode(),
    "json three": base64.urlsafe_b64encode(b'["a", "b", "c"]').decode(),
    "json objects": base64.urlsafe_b64encode(b"[{}, {}]").decode(),
    "json infinity": base64.urlsafe_b64encode(b"[Infinity, NaN]").decode(),
    "json surrogate": base64.urlsafe_b64encode(b'["\\ud800", "x"]').decode(),
    "no filters": base64.urlsafe_b64encode(json.dumps(["op_" + "0" * 32, None]).encode()).decode(),
    "wrong filters": base64.urlsafe_b64encode(json.dumps(["op_" + "0" * 32, "0" * 16]).encode()).decode(),
}
MALFORMED = [
    *(
        {"page_size": text}
        for text in ("", "0", "-1", "many", "1.5", "1e3", "0x10", "٣", " 1", "nan", "\x00", "9" * 40)
    ),
    *(
        {"status": text}
        for text in ("", "done", "QUEUED", "queued,", "queued;failed", "\x00", "x" * 9000, "queued, failed")
    ),
    *(
        {name: text}
        for name in ("created_after", "created_before")
        for text in (
            "",
            "yesterday",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-13-01T00:00:00Z",
            "0",
            "\x00",
            "2026-W01-1",
        )
    ),
    {"kind": "\x00"},
    {"tag.a": "\x00"},
    {"tag.\x00": "a"},
    {"tag.a": ["1", "2"]},
    {f"tag.k{number}": "v" for number in range(17)},
    {f"tag.k{number}": "v" for number in range(2000)},
    {"page_size": ["1", "2"]},
    {"kind": ["a", "b"]},
    {"page_token": ["a", "b"]},
]


@pytest.mark.parametrize("token", HOSTILE_TOKENS.values(), ids=HOSTILE_TOKENS)
def test_malformed_list_parameters_are_400(caller, token):
    """A parameter or token that cannot be read, or a token with other filters, is a 400 problem, never 422."""
    assert_problem(caller.get("/operations", params={"page_token": token}), 400, "malformed-request")
    if token:
        return  # the other parameters do not depend on the token
    for parameters in MALFORMED:
        assert_problem(caller.get("/operations", params=parameters), 400, "malformed-request")
    submit_many(caller, 3)
    good = page(caller, page_size=1, status="queued").json()["next_page_token"]
    for filters in ({}, {"status": "failed"}, {"status": "queued", "kind": "look"}, {"status": "queued", "tag.a": "b"}):
        assert_problem(caller.get("/operations", params={**filters, "page_token": good}), 400, "malformed-request")
    assert len(ids(page(caller, page_size=2, status="queued", page_token=good))) == 2


def test_list_shows_only_what_the_caller_owns(caller, other):
    """Each caller sees its own operations, whatever filter or token it sends."""
    mine, theirs = submit_many(caller, 3), submit_many(other, 3)
    assert ids(page(caller)) == mine
    assert ids(page(other)) == theirs
    foreign = page(other, page_size=1).json()["next_page_token"]
    assert_problem(caller.get("/operations", params={"page_token": foreign}), 400, "malformed-request")
    assert ids(page(caller, owner=other.name)) == mine
    assert ids(page(caller, **{"tag.owner": other.name})) == []


def test_list_without_an_owner_rule_is_404(unowned):
    """Where no owner rule says what a caller may see, nothing is listed; all else works."""
    caller = unowned.caller()
    operation = caller.finished("/reports", json=ORDER, headers={"Idempotency-Key": "k"})
    assert_problem(caller.get("/operations"), 404, "list-disabled")
    assert_problem(caller.get("/operations", params={"page_size": "many"}), 404, "list-disabled")
    anybody = unowned.fresh()
    assert anybody.get(operation["links"]["self"]).json() == operation
    repeated = anybody.post("/reports", json=ORDER, headers={"Idempotency-Key": "k"})
    assert repeated.json()["id"] == operation["id"]
    assert repeated.headers["idempotency-replayed"] == "true"
    guessed = anybody.post("/reports", json={**ORDER, "pages": 4}, headers={"Idempotency-Key": "k"})
    assert "operation_id" not in assert_problem(guessed, 422, "idempotency-key-reused")


# --- edges --------------------------------------------------------------------------------------------------------


class TestTokens:
    """Tokens that were tampered with."""

    def test_a_damaged_token_never_shows_more(self, caller, other):
        """A truncated token is refused; a token with a changed bit is refused or still shows the caller's own."""
        submit_many(other, 2)
        mine = set(submit_many(caller, 4))
        token = page(caller, page_size=1).json()["next_page_token"]
        for length in range(0, len(token), 4):
            cut = caller.get("/operations", params={"page_token": token[:length]})
            assert_problem(cut, 400, "malformed-request")
        for position in range(0, len(token), 2):
            flipped = token[:position] + chr(ord(token[position]) ^ 1) + token[position + 1 :]
            answer = caller.get("/operations", params={"page_token": flipped})
            if answer.status_code == 200:
                assert set(ids(answer)) <= mine
            else:
                assert_problem(answer, 400, "malformed-request")

    def test_a_token_outlives_its_operation(self, caller):
        """A page goes on where it was, though the operation at its edge is gone."""
        done = [caller.finished("/reports", json=ORDER)["id"] for _ in range(3)][::-1]
        first = page(caller, page_size=2)
        assert caller.delete(f"/operations/{done[1]}").status_code == 204
        assert ids(page(caller, page_token=first.json()["next_page_token"])) == done[2:]

    def test_page_size_stops_at_200(self, caller):
        """A page holds 50 operations where the client says nothing, and 200 at most."""
        expected = submit_many(caller, 205)
        assert ids(page(caller)) == expected[:50]
        assert ids(page(caller, page_size=1000)) == expected[:200]
        assert ids(page(caller, page_size="9" * 9)) == expected[:200]
