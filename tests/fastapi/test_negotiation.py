"""Headers as strangers send them: read in a time that follows their length, and refused where they say nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from raincheck.core.errors import MalformedRequest
from raincheck.fastapi.negotiation import (
    Preferences,
    etag_matches,
    idempotency_key,
    operation_metadata,
    operation_not_before,
    parse_prefer,
    submit_options,
)

NOW = datetime(2026, 1, 31, tzinfo=UTC)
LONG = 300_000
"""Characters of one header; a server that is built on httptools passes on as many. What takes time by the square of
them takes minutes, and the test ends at its limit."""


@pytest.mark.parametrize(
    "text",
    [
        "a" + " " * LONG + "x",
        "a=b" + " " * LONG + "x",
        "a=" + " " * LONG + "é",
        " " * LONG,
        "a" * LONG + "é",
        'a="' + "\\" * LONG,
        "a;" + ";" * LONG,
        "a b," * (LONG // 4),
    ],
    ids=lambda text: repr(text[:4]),
)
def test_a_long_prefer_is_read_in_one_go(text):
    """However it is made up; what can be read before it counts, and so does what comes after its next comma."""
    assert parse_prefer([f"wait=5, {text}"]) == Preferences(wait=5)
    if not text.startswith('a="'):
        assert parse_prefer([f"{text}, wait=5"]) == Preferences(wait=5)


@pytest.mark.parametrize(
    "value",
    ["wait = 5", " wait=5 ", "wait\t=\t5", 'wait="5"', "wait=5 ; strict", "wait=5;a=b", "x y, wait=5", ",wait=5"],
)
def test_blanks_around_a_preference_do_not_count(value):
    """Wherever RFC 7240 §2 allows them."""
    assert parse_prefer([value]) == Preferences(wait=5)


def test_other_long_headers_are_read_in_one_go():
    """Refused or read, and never gone over again and again."""
    for text in ('"' + "\\" * LONG, '"' * LONG, "a" * LONG):
        with pytest.raises(MalformedRequest):
            idempotency_key(text)
    for text in (
        "a" * LONG,
        'a="' + "\\" * LONG,
        'a="";' + " " * LONG,
        'a=""' + " " * LONG + "x",
        'a="";b=' + '"' * LONG,
    ):
        with pytest.raises(MalformedRequest):
            operation_metadata([text])
    assert not etag_matches('W/"' * LONG, 1)


@pytest.mark.parametrize(
    "text",
    [
        "Fri, 31 Dec 9999 23:59:59 -1200",
        "Mon, 01 Jan 2030 00:00:00 +99999999999999",
        "Mon, 01 Jan 2030 00:00:00 -9999",
        "9999-12-31T23:59:59-12:00",
        "0001-01-01T00:00:00+12:00",
        "1" * 5000,
    ],
)
def test_a_time_beyond_all_dates_is_malformed(text):
    """The caller's mistake, like any text that is no time, and no failure of the server."""
    with pytest.raises(MalformedRequest):
        operation_not_before(text)
    with pytest.raises(MalformedRequest):
        submit_options([(b"operation-not-before", text.encode())], clock=lambda: NOW)


@pytest.mark.parametrize(
    ("accept", "streams"),
    [
        (b"text/event-stream", True),
        (b"Text/Event-Stream", True),
        (b"application/json, text/event-stream;q=0.5", True),
        (b"text/event-stream ; charset=utf-8", True),
        (b"text/event-stream;q=0.001", True),
        (b"text/event-stream;q=0", False),
        (b"application/json, text/event-stream; q=0.0", False),
        (b"text/event-streams", False),
        (b"x-text/event-stream", False),
        (b"*/*", False),
        (b"text/*", False),
    ],
)
def test_a_stream_is_the_answer_where_it_is_asked_for(accept, streams):
    """By its own name: a client that takes anything gets the 202."""
    assert submit_options([(b"accept", accept)], clock=lambda: NOW).stream is streams
