"""Frames and the values in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from raincheck.context import MemoryRecorder, OperationContext
from raincheck.core.operation import Problem, Progress
from raincheck.core.outcome import AskedToRetry, Interrupted, Raised, Returned
from raincheck.core.trace_context import TraceContext
from raincheck.executors import _wire as wire
from raincheck.executors._frames import FrameReader, FrameType, frame
from raincheck.invocation import Invocation
from tests.executors import operations
from tests.executors.invoking import kind_of


def only(data):
    (found,) = FrameReader().feed(data)
    return found


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_frames_survive_any_cut_of_the_stream(step):
    """However the bytes arrive, the frames come out whole and in order."""
    stream = b"".join(frame(FrameType.OUTPUT, {"n": n}, b"x" * n) for n in (0, 5, 300, 1)) + frame(FrameType.CANCEL)
    reader = FrameReader()
    found = [one for at in range(0, len(stream), step) for one in reader.feed(stream[at : at + step])]
    assert [one.body for one in found] == [b"", b"x" * 5, b"x" * 300, b"x", b""]
    assert [one.fields()["n"] for one in found[:4]] == [0, 5, 300, 1]
    assert found[4].type is FrameType.CANCEL


@pytest.mark.parametrize(
    "outcome",
    [
        Returned(status_code=201, media_type="a/b", headers=(("x", "y"), ("x", "z")), body=b"\x00\xff"),
        Returned(file=Path("/some/file")),
        Returned(body=b""),
        Raised(
            error=Problem(code="c", title="t", status=418, detail="d", extensions={"a": [1]}, headers=(("h", "v"),)),
            retryable=True,
            traceback="Traceback \ud800",
            exception="shop.NoSuchOrder",
        ),
        AskedToRetry(after=timedelta(days=1, microseconds=1)),
        Interrupted(),
    ],
)
def test_an_outcome_arrives_as_it_was_sent(outcome):
    """Every outcome of a child is rebuilt equal, with its types."""
    assert wire.decode_outcome(only(wire.encode_outcome(outcome, terminated=True))) == (outcome, True)


def test_a_request_arrives_as_it_was_sent():
    """A child's invocation has the fields of the executor's."""
    sent = Invocation(
        kind=kind_of(operations.add),
        context=OperationContext(
            id="op_1",
            kind="add",
            run=7,
            attempt=3,
            owner="ana",
            metadata={"a": "b"},
            deadline=datetime(2030, 1, 2, tzinfo=UTC),
            idempotency_key="k",
        ),
        stored='{"left": "\ud800"}',
        files={"f": Path("/a/b")},
        staging=lambda: Path("/staging"),
        max_result=99,
        trace=TraceContext("00-parent", "state"),
    )
    recorder = MemoryRecorder()
    got = wire.decode_request(only(wire.encode_request(sent, "m:f")), sent.kind, recorder)
    names = ("id", "kind", "run", "attempt", "owner", "metadata", "deadline", "idempotency_key")
    assert [getattr(got.context, name) for name in names] == [getattr(sent.context, name) for name in names]
    assert got.context.recorder is recorder
    assert got.staging() == sent.staging()
    names = ("stored", "files", "max_result", "trace")
    assert [getattr(got, name) for name in names] == [getattr(sent, name) for name in names]


def test_numbers_of_other_libraries_travel():
    """A NumPy number in a progress becomes a plain one."""
    numpy = pytest.importorskip("numpy")
    told = only(wire.encode_progress(Progress(current=numpy.int64(3), total=numpy.float32(4))))
    assert wire.decode_progress(told) == Progress(current=3, total=4.0)
