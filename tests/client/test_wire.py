"""The shared wire vectors: what every client reads alike."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import httpx2
import pytest

from raincheck.client.addresses import Addresses
from raincheck.client.errors import ForeignLink, RequestRefused, UnexpectedAnswer, refused
from raincheck.client.models import event_from, state_from
from raincheck.client.position import Position
from raincheck.client.problems import problem_of, seconds_of_retry_after
from raincheck.client.submitting import metadata_header

FOLDER = Path(__file__).resolve().parents[1] / "wire"


def items(file, key=None):
    """Return the items of a file as parameters, named where they have names."""
    found = json.loads((FOLDER / f"{file}.json").read_text(encoding="utf-8"))
    found = found if key is None else found[key]
    return [pytest.param(each, id=each.get("name", f"{number}")) for number, each in enumerate(found)]


STREAMS = items("streams") + items("hostile_streams")


@pytest.mark.parametrize("item", items("operations"))
def test_each_field_of_an_operation_is_read(item):
    """Nothing that the server tells is lost or changed on its way through the model."""
    body = item["body"]
    state = state_from(body)
    shown = state.model_dump(mode="json")
    for name, value in body.items():
        if name.endswith("_at") or name == "scheduled_for":
            assert getattr(state, name) == (None if value is None else datetime.fromisoformat(value))
        else:
            assert shown[name] == value, name


@pytest.mark.parametrize("item", items("future_operations"))
def test_operations_of_later_releases_are_read(item):
    """Unknown fields are ignored, an unknown status is a text, and ``done`` decides."""
    state = state_from(item["body"])
    assert (state.status, state.done) == (item["body"]["status"], item["body"]["done"])
    assert state.version == item["body"]["version"]


@pytest.mark.parametrize(
    "body", [None, [], "x", {}, {"id": "op_1"}, {"id": 1, "status": "x", "done": 1, "version": "?"}]
)
def test_what_is_no_operation_is_an_unexpected_answer(body):
    """The caller learns that the URL is probably wrong."""
    with pytest.raises(UnexpectedAnswer, match="no operation"):
        state_from(body)


@pytest.mark.parametrize("item", items("events"))
def test_each_event_is_read(item):
    """Type, version and run are attributes; the rest is its data."""
    body = item["body"]
    event = event_from(body["type"], body)
    assert (event.operation, event.version, event.run) == (body["operation"], body["version"], body["run"])
    assert event.data == body
    assert event.chunk == body.get("chunk")


def test_the_log_leads_to_the_state_that_its_done_shows():
    """A state that heard each event agrees with the record, step by step."""
    bodies = [each.values[0]["body"] for each in items("events") if each.values[0]["name"] != "snapshot"]
    state = state_from(items("operations")[0].values[0]["body"])
    seen = []
    for body in bodies:
        state = state.after(event_from(body["type"], body))
        seen.append((state.version, state.status))
    statuses = ["queued", "running", "running", "running", "running", "running", "cancelling", "succeeded"]
    assert seen == list(zip([1, 2, 3, 5, 6, 7, 8, 9], statuses, strict=True))
    assert state == state_from(bodies[-1]["resource"])


class Pieces(httpx2.SyncByteStream):
    """A body that arrives in pieces."""

    def __init__(self, pieces):
        self._pieces = pieces

    def __iter__(self):
        yield from self._pieces


def frames(pieces):
    """Return what the client's stream reader sees."""
    headers = {"content-type": "text/event-stream"}
    request = httpx2.Request("GET", "http://test/")
    response = httpx2.Response(200, headers=headers, stream=Pieces(pieces), request=request)
    return [frame for frame in httpx2.EventSource(response)]  # noqa: C416


def as_vectors(found):
    """Return frames as the vectors write them; those without data are no events."""
    return [{"event": each.event, "id": each.id, "data": json.loads(each.data)} for each in found if each.data]


@pytest.mark.parametrize("item", STREAMS)
@pytest.mark.parametrize("cut", ["at its cuts", "byte by byte", "in one piece"])
def test_each_stream_gives_its_frames_however_it_is_cut(item, cut):
    """The same frames with the same ids, and the last retry."""
    data = item["text"].encode()
    cuts = {"at its cuts": item["cuts"], "byte by byte": range(1, len(data)), "in one piece": []}[cut]
    edges = [0, *cuts, len(data)]
    found = frames([data[start:end] for start, end in pairwise(edges)])
    assert as_vectors(found) == item["frames"]
    retries = [each.retry for each in found if each.retry is not None]
    assert (retries[-1] if retries else None) == item["retry"]


def test_a_position_lets_nothing_through_twice():
    """The whole log, doubled and with a late repetition, comes once."""
    whole = next(each.values[0] for each in items("streams") if each.values[0]["name"] == "the whole log")
    once = [(frame["event"], json.dumps(frame["data"])) for frame in whole["frames"]]
    position = Position(0)
    accepted = [position.accept(*frame) for frame in [*once[:4], *once[:4], *once[2:], *once]]
    versions = [event.version for event in accepted if event is not None]
    assert versions == [1, 2, 3, 5, 6, 7, 8, 9]
    assert position.over


def test_a_reset_begins_anew_with_the_snapshot_that_follows():
    """The cursor is forgotten until the snapshot brings another."""
    snapshot = next(each.values[0]["body"] for each in items("events") if each.values[0]["name"] == "snapshot")
    position = Position(7)
    reset = position.accept("reset", json.dumps({"type": "reset", "requested": 7, "oldest": 9}))
    assert (reset.type, position.cursor) == ("reset", None)
    assert position.accept("snapshot", json.dumps(snapshot)).type == "snapshot"
    assert position.cursor == str(snapshot["version"])
    assert position.accept("snapshot", json.dumps(snapshot)) is None


@pytest.mark.parametrize("item", items("problems"))
def test_each_problem_of_the_server_is_read(item):
    """Code, title, detail and the operation are there, and the class fits the status."""
    problem = problem_of(item["status"], json.dumps(item["body"]).encode())
    assert (problem.code, problem.detail) == (item["code"], item["body"]["detail"])
    assert problem.operation_id == item["body"]["operation_id"]
    error = refused(problem, status=item["status"], retry_after=None)
    assert error.code == item["code"]
    assert type(error) is not RequestRefused


@pytest.mark.parametrize("item", items("hostile_problems"))
def test_answers_that_are_no_problem_of_ours_are_survived(item):
    """There is always a title and the answer's own status, and never another error."""
    problem = problem_of(item["status"], item["body"].encode())
    assert (problem.code, problem.status) == (item["code"], item["status"])
    assert problem.title
    assert seconds_of_retry_after(item["headers"].get("retry-after")) == item.get("retry_after")
    assert str(refused(problem, status=item["status"], retry_after=None)).endswith(f"(HTTP {item['status']})")


@pytest.mark.parametrize("item", items("headers", "retry_after"))
def test_retry_after_is_read(item):
    """Whole seconds and dates; all else is no advice."""
    assert seconds_of_retry_after(item["value"], now=datetime(2026, 1, 31, 12, tzinfo=UTC)) == item["seconds"]


@pytest.mark.parametrize("item", items("headers", "metadata"))
def test_metadata_is_written_as_a_structured_field(item):
    """What no field can carry is refused before anything is sent."""
    if item.get("refused"):
        with pytest.raises(ValueError, match="cannot be sent"):
            metadata_header(item["value"])
    else:
        assert (metadata_header(item["value"]) or None) == item["header"]


@pytest.mark.parametrize("item", items("headers", "links"))
def test_links_lead_to_the_same_origin_only(item):
    """Credentials never follow a link to somebody else."""
    addresses = Addresses(item["base_url"])
    if item.get("refused"):
        with pytest.raises(ForeignLink):
            addresses.of_link(item["link"])
    else:
        assert str(addresses.of_link(item["link"])) == item["url"]


def test_a_problem_is_one_line_that_steers_no_terminal():
    """Its texts are a stranger's, and errors are printed as they are, by programs and by the command line."""
    hostile = {"type": "about:blank", "title": "a\x1b]0;mine\x07b", "detail": "c\r\nd\x1b[2J\u202ee\x00"}
    error = refused(problem_of(400, json.dumps(hostile).encode()), status=400, retry_after=None)
    assert str(error) == "a\ufffd]0;mine\ufffdb: c d\ufffd[2J\ufffde\ufffd (HTTP 400)"


def test_a_body_that_is_nested_without_end_is_survived():
    """The status and its phrase are all that is left of it."""
    assert problem_of(500, b"[" * 200_000).title == "Internal Server Error"
