"""Write the tables and the diagram of docs/lifecycle.md from the rules themselves.

Every event of ``raincheck.core.transitions`` is tried on an operation in every status; what comes out is what the page
says. The text around the markers is written by hand and kept.

    python tools/generate_lifecycle.py            # write the page
    python tools/generate_lifecycle.py --check    # fail if the page is out of date
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from raincheck.core import transitions
from raincheck.core.errors import RaincheckError
from raincheck.core.events import Output
from raincheck.core.operation import Operation, Problem, Status, StoredResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from raincheck.core.transitions import Change

PAGE = Path(__file__).parent.parent / "docs" / "lifecycle.md"
BEGIN = "<!-- generated from core/transitions.py by tools/generate_lifecycle.py: do not edit below -->"
END = "<!-- generated: end -->"

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAST = NOW - timedelta(seconds=1)
RUN = 1
ERROR = Problem(code="error", title="An error")


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that may happen to an operation: its name, the rule, and the record's fields that it depends on."""

    name: str
    rule: Callable[[Operation], Change | None]
    given: dict[str, int]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a rule did to an operation in one status; ``after`` is None where it did nothing or refused."""

    text: str
    after: Operation | None = None


def happening(name: str, rule: Callable[..., Change | None], given: dict[str, int] | None = None) -> Happening:
    """Return a happening; the fields it does not name have room for another attempt and another loss."""
    return Happening(name, rule, {"max_attempts": 2, "max_losses": 2} | (given or {}))


HAPPENINGS = (
    happening("a worker claims it", partial(transitions.claim, worker="w", lease_until=NOW, now=NOW)),
    happening(
        "the run emits, logs or tells progress", partial(transitions.record, run=RUN, entries=[Output("1")], now=NOW)
    ),
    happening("the function returns", partial(transitions.succeed, run=RUN, result=StoredResult(), now=NOW)),
    happening(
        "the function fails, attempts are left",
        partial(transitions.fail, run=RUN, error=ERROR, retry_at=NOW, now=NOW),
    ),
    happening(
        "the function fails for the last time",
        partial(transitions.fail, run=RUN, error=ERROR, retry_at=NOW, now=NOW),
        {"max_attempts": 1},
    ),
    happening(
        "the function fails in a way that is never retried",
        partial(transitions.fail, run=RUN, error=ERROR, now=NOW),
    ),
    happening("the function raises `RetryLater`", partial(transitions.retry_later, run=RUN, at=NOW, now=NOW)),
    happening("the run stops as asked (a drain, a cancel)", partial(transitions.release, run=RUN, now=NOW)),
    happening("the lease runs out, losses are left", partial(transitions.expire_lease, run=RUN, now=NOW)),
    happening(
        "the lease runs out for the last time",
        partial(transitions.expire_lease, run=RUN, now=NOW),
        {"max_losses": 1},
    ),
    happening("`deadline_at` passes", partial(transitions.expire_deadline, now=NOW)),
    happening("the caller cancels", partial(transitions.request_cancel, now=NOW)),
)


def in_status(status: Status, given: dict[str, int]) -> Operation:
    """Return an operation in a status whose lease and deadline have just passed."""
    fresh = Operation(id="op", kind="k", created_at=PAST, updated_at=PAST, run_at=PAST, deadline_at=NOW)
    held = {"worker": "w", "lease_until": NOW} if status.held else {}
    started = {} if status is Status.QUEUED else {"run": RUN, "attempt": 1}
    return replace(fresh, status=status, **started, **held, **given)  # type: ignore[arg-type]


def try_out(each: Happening, status: Status) -> Effect:
    """Apply a rule to an operation in a status and say what came out."""
    before = in_status(status, each.given)
    try:
        change = each.rule(before)
    except RaincheckError as refusal:
        return Effect(f"refused: `{refusal.code}`")
    if change is None:
        return Effect("-")
    if change.empty:
        return Effect("as it is")
    if change.operation.status is status:
        return Effect("*stays*", change.operation)
    return Effect(f"**{change.operation.status.value}**", change.operation)


def table() -> list[str]:
    """Return what happens in each status."""
    lines = [
        "| | " + " | ".join(f"`{status.value}`" for status in Status) + " |",
        "|---" * (len(Status) + 1) + "|",
    ]
    for each in HAPPENINGS:
        effects = [try_out(each, status).text for status in Status]
        lines.append(f"| {each.name} | {' | '.join(effects)} |")
    return lines


def counts() -> list[str]:
    """Return what each happening counts in the first status that allows it, and which events it may write."""
    lines = ["| | run | attempt | losses | event |", "|---|---|---|---|---|"]
    for each in HAPPENINGS:
        written = [(status, after) for status in Status if (after := try_out(each, status).after) is not None]
        status, after = written[0]
        before = in_status(status, each.given)
        steps = [getattr(after, name) - getattr(before, name) for name in ("run", "attempt", "losses")]
        events = " or ".join(dict.fromkeys(event_of(before, after) for before, after in written))
        lines.append(f"| {each.name} | {' | '.join(f'{step:+d}' if step else '' for step in steps)} | {events} |")
    return lines


def event_of(before: Status, after: Operation) -> str:
    """Return the event by which readers learn of a change."""
    if after.done:
        return "`done`"
    return "`output`, `log` or `progress`" if after.status is before else "`status`"


def diagram() -> list[str]:
    """Return the state diagram; what leads the same way shares an arrow."""
    arrows: dict[tuple[Status, Status], list[str]] = {}
    for status in Status:
        for each in HAPPENINGS:
            after = try_out(each, status).after
            if after is not None and after.status is not status:
                arrows.setdefault((status, after.status), []).append(each.name.replace("`", ""))
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> queued: accepted"]
    for (start, end), names in arrows.items():
        lines.append(f"    {start.value} --> {end.value}: {'<br>'.join(names)}")
    lines += [f"    {status.value} --> [*]" for status in Status if status.done]
    return [*lines, "```"]


def generated() -> str:
    """Return the generated part of the page."""
    parts = [
        [BEGIN],
        ["## Diagram"],
        diagram(),
        ["## What happens in each status"],
        ["-: the rule does not apply and nothing is written. *stays*: a new version in the same status."],
        table(),
        ["## What is counted"],
        counts(),
        [END],
    ]
    return "\n\n".join("\n".join(lines) for lines in parts)


def page(current: str) -> str:
    """Return the page with its generated part replaced; what stands around it is kept."""
    before, found, rest = current.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not (found and closed):
        msg = f"{PAGE.name} has lost its markers; put these two lines where the generated part belongs:\n{BEGIN}\n{END}"
        raise SystemExit(msg)
    return before + generated() + after


def main() -> int:
    """Write or check the page; return the exit status."""
    parser = argparse.ArgumentParser(description="Generate docs/lifecycle.md from the rules.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is out of date")
    checks = parser.parse_args().check
    current = PAGE.read_text(encoding="utf-8")
    wanted = page(current)
    if wanted == current:
        return 0
    if checks:
        print(f"{PAGE} is out of date with core/transitions.py; run: python tools/generate_lifecycle.py")
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
