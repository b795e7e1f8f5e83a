"""One event stream for many operations, or for everything that a caller owns."""

from __future__ import annotations

import re

from tests.contract.event_stream import events, everything, reading, reading_everywhere
from tests.contract.serving import assert_problem, fresh_name

ORDER = {"pages": 3, "title": "rain"}
UNKNOWN = "op_" + "0" * 32
MANY = re.compile(r"[0-9a-f]{8}(\.[0-9]+)+")


def test_many_operations_share_one_stream(caller, other):
    """One connection follows many, each once and in order; its opaque cursor resumes all of them."""
    names = [fresh_name() for _ in range(3)]
    running = [caller.submit(f"/stories/{name}") for name in names]
    finished = caller.finished("/reports", json=ORDER)
    for name in names:
        caller.server.await_signal(f"{name}-1.started")
    every = [*running, finished]
    parameters = {"ids": ",".join(one["id"] for one in every)}
    with reading(caller, "/operations/events", params=parameters) as reader:
        shown = [reader.next() for _ in every]
        assert [frame.event for frame in shown] == ["snapshot"] * 4
        assert {frame.data["operation"] for frame in shown} == {one["id"] for one in every}
        assert all(frame.id is None for frame in shown[:-1])
        done = reader.next()
        assert (done.event, done.data["operation"]) == ("done", finished["id"])
        assert MANY.fullmatch(done.id)
        for name in names:
            for step in (f"{name}-1", f"{name}-2", f"{name}-3", name):
                caller.server.give(step)
        frames = [done, *reader.rest()]
    assert len({frame.id for frame in frames}) == len(frames)
    for operation in running:
        mine = [f for f in frames if f.data["operation"] == operation["id"] and f.event != "progress"]
        whole = [f for f in everything(caller, operation) if f.event != "progress"]
        assert events(mine) == events(whole)[-len(mine) :]
        assert [f.data["chunk"]["part"] for f in mine if f.event == "output"] == [1, 2, 3]
    for position, frame in enumerate(frames[:-1]):
        with reading(caller, "/operations/events", params=parameters, headers={"Last-Event-ID": frame.id}) as reader:
            rest = [(f.data["operation"], f.version) for f in reader.rest() if f.event != "progress"]
        missing = [(f.data["operation"], f.version) for f in frames[position + 1 :] if f.event != "progress"]
        assert sorted(rest) == sorted(missing)
    over = caller.get("/operations/events", params={**parameters, "after": frames[-1].id})
    assert (over.status_code, over.content) == (204, b"")
    assert_problem(other.get("/operations/events", params=parameters), 404, "operation-not-found")
    with_unknown = {"ids": f"{finished['id']},{UNKNOWN}"}
    assert_problem(caller.get("/operations/events", params=with_unknown), 404, "operation-not-found")
    for ids in ("", ",", f"{finished['id']},", ",".join(f"op_{n:032}" for n in range(101))):
        assert_problem(caller.get("/operations/events", params={"ids": ids}), 400, "malformed-request")
    for cursor in ("1", "", "x.1.1.1.1", frames[-1].id + ".1", frames[-1].id[:-1] + "x", frames[-1].id + "9"):
        answer = caller.get("/operations/events", params={**parameters, "after": cursor})
        assert_problem(answer, 400, "malformed-request")


def test_everything_of_the_caller_is_live(caller, other, unowned):
    """Each change of status of all that the caller owns comes live and nobody else's; without owners there is none."""
    before = caller.finished("/reports", json=ORDER)
    with reading_everywhere(caller, "/operations/events") as readers:
        other.finished("/reports", json=ORDER)
        name = fresh_name()
        held = caller.submit(f"/held/{name}")
        caller.server.await_signal(f"{name}.started")
        for reader in readers:
            frame = reader.next()
            while frame.data["status"] != "running":
                frame = reader.next()
            assert frame.data["operation"] == held["id"]
            assert frame.id is None
        caller.server.give(name)
        report = caller.finished("/reports", json=ORDER)
        caller.done(held["id"])
        for reader in readers:
            frames = []
            while sum(frame.event == "done" for frame in frames) < 2:
                frames.append(reader.next())
            assert {frame.data["operation"] for frame in frames} == {held["id"], report["id"]}
            assert {frame.event for frame in frames} <= {"status", "done"}
            assert before["id"] not in {frame.data["operation"] for frame in frames}
            for operation in (held, report):
                versions = [frame.version for frame in frames if frame.data["operation"] == operation["id"]]
                assert versions == sorted(set(versions))
    assert_problem(unowned.fresh().get("/operations/events"), 404, "list-disabled")
