"""Tickets let a browser read an event stream, which can send no headers."""

from __future__ import annotations

import time

from tests.contract.event_stream import opened
from tests.contract.serving import assert_problem, fresh_name

ORDER = {"pages": 3, "title": "rain"}
UNKNOWN = "op_" + "0" * 32


def test_a_ticket_lets_a_browser_in(caller, other, hasty):
    """A ticket stands for the caller on one operation's stream and on nothing else, within a minute."""
    operation = caller.finished("/reports", json=ORDER)
    answer = caller.post(f"/operations/{operation['id']}/tickets")
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    ticket = answer.json()
    assert set(ticket) == {"ticket", "events", "expires_at"}
    assert ticket["events"] == f"{operation['links']['events']}?ticket={ticket['ticket']}"
    with opened(caller.server, ticket["events"]) as reader:
        assert [frame.event for frame in reader.rest()] == ["snapshot", "done"]
    assert_problem(other.post(f"/operations/{operation['id']}/tickets"), 404, "operation-not-found")
    elsewhere = caller.finished("/reports", json=ORDER)
    fresh = caller.post(f"/operations/{operation['id']}/tickets").json()["ticket"]
    nobody = caller.server.fresh()
    for path in (elsewhere["links"]["events"], f"/operations/{UNKNOWN}/events"):
        assert_problem(nobody.get(path, params={"ticket": fresh}), 401, "ticket-refused")
    for path in (operation["links"]["self"], operation["links"]["result"], "/operations", "/operations/events"):
        assert nobody.get(path, params={"ticket": fresh}).status_code == 401
    for text in ("", "x", "rct_", fresh + "x", "\x00", "\ud7ff", "x" * 8000):
        answer = caller.get(operation["links"]["events"], params={"ticket": text})
        assert_problem(answer, 401, "ticket-refused")
    late = hasty.caller()
    operation = late.finished("/reports", json=ORDER)
    expired = late.post(f"/operations/{operation['id']}/tickets").json()
    time.sleep(0.6)  # the only way for a ticket to grow old
    assert_problem(late.get(expired["events"]), 401, "ticket-refused")


def test_a_used_ticket_only_resumes(caller, hasty):
    """Seen by somebody else, the URL shows nothing from the beginning; with a cursor it goes on, for a minute."""
    name = fresh_name()
    operation = caller.submit(f"/stories/{name}")
    events_url = caller.post(f"/operations/{operation['id']}/tickets").json()["events"]
    nobody = caller.server.fresh()
    with opened(caller.server, events_url) as reader:
        first = reader.next()
        assert_problem(nobody.get(events_url), 401, "ticket-refused")
        for step in (f"{name}-1", f"{name}-2", f"{name}-3", name):
            caller.server.give(step)
        reader.until("output")
    with opened(caller.server, events_url, headers={"Last-Event-ID": first.id}) as reader:
        assert reader.rest()[-1].event == "done"
    assert_problem(nobody.get(events_url), 401, "ticket-refused")
    late = hasty.caller()
    operation = late.finished("/reports", json=ORDER)
    events_url = late.post(f"/operations/{operation['id']}/tickets").json()["events"]
    with opened(hasty, events_url) as reader:
        reader.rest()
    resumed = hasty.fresh().get(events_url, headers={"Last-Event-ID": str(operation["version"])})
    assert resumed.status_code == 204

    time.sleep(0.6)  # the only way for a ticket to grow old
    assert_problem(hasty.fresh().get(events_url, headers={"Last-Event-ID": "1"}), 401, "ticket-refused")
    events_url = late.post(f"/operations/{operation['id']}/tickets").json()["events"]
    assert_problem(hasty.fresh().get(events_url, headers={"Last-Event-ID": "99"}), 400, "malformed-request")
    time.sleep(0.6)
    assert_problem(hasty.fresh().get(events_url, headers={"Last-Event-ID": "1"}), 401, "ticket-refused")
