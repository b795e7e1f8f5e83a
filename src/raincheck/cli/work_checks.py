"""Checks of the workers, of what they hold, and of what waits for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from raincheck.cli.findings import Finding, ok, problem, warning
from raincheck.cli.formats import counted, duration, local, printable
from raincheck.stores.sqlite.liveness import FileLiveness

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet
    from datetime import datetime
    from pathlib import Path

    from raincheck.raincheck import Raincheck
    from raincheck.stores.inspection import Holder, Some, Waiting, Work

PATIENCE = timedelta(seconds=5)  # the reaper looks twice a second
_START = "Start one: the application itself, or `raincheck worker module:rain`."


@dataclass(frozen=True, slots=True)
class Workers:
    """Worker processes, as far as one can know.

    :param certain: these are all; else others may run on other machines.
    """

    live: AbstractSet[str]
    dead: AbstractSet[str]
    certain: bool = True

    @property
    def none(self) -> bool:
        """Whether certainly nobody works."""
        return self.certain and not self.live


def check_work(work: Work, workers: Workers, rain: Raincheck | None, now: datetime) -> Iterator[Finding]:
    """Check who works, whether anything is held by the dead, and why what waits may wait."""
    yield _presence(workers)
    yield from _leases(work.holders, workers, now)
    yield from _queue(work.waiting, workers, rain, now)
    if work.scheduled.count:
        number = counted(work.scheduled.count, "queued operation")
        yield ok("scheduled", f"{number} to run later, the first at {local(work.scheduled.first)}.")
    yield _deadlines(work.overdue, now)


def workers_of_machine(folder: Path) -> Workers:
    """Return the workers that have a lock file in a folder."""
    liveness = FileLiveness(folder)
    names = {file.stem for file in folder.glob("*.lock")}
    dead = frozenset(name for name in names if liveness.is_dead(name))
    return Workers(names - dead, dead)


def workers_of_fleet(work: Work, now: datetime) -> Workers:
    """Return the workers that hold a valid lease; those that hold nothing are not known."""
    return Workers({each.worker for each in work.holders if each.first_expiry > now}, frozenset(), certain=False)


def _presence(workers: Workers) -> Finding:
    if not workers.certain:
        return ok(
            "workers", f"{counted(len(workers.live), 'worker')} of any machine hold work; idle ones are not seen."
        )
    if not workers.live:
        return warning("workers", "No worker process is running on this machine.", _START)
    names = ", ".join(sorted(workers.live))
    killed = f" Found traces of {counted(len(workers.dead), 'worker')} that died suddenly." if workers.dead else ""
    return ok("workers", f"{counted(len(workers.live), 'worker')} running: {names}.{killed}")


def _leases(found: list[Holder], workers: Workers, now: datetime) -> Iterator[Finding]:
    for holder in found:
        held = f"{counted(holder.leases, 'operation')} held by {printable(holder.worker)}"
        expired = now - holder.first_expiry
        if holder.worker in workers.dead and not workers.live:
            yield problem("leases", f"{held}, which is dead, and no worker is there to take over.", _START)
        elif holder.worker in workers.dead:
            yield warning("leases", f"{held}, which is dead.", "Look again: a live worker takes over within a second.")
        elif expired > PATIENCE:
            remedy = _START if workers.none else "Its lease should have been ended: see the logs of the workers."
            yield problem("leases", f"{held}, whose lease ran out {duration(expired)} ago.", remedy)
        else:
            yield ok("leases", f"{held}, whose lease is valid.")
    if not found:
        yield ok("leases", "No operation is running.")


def _queue(due: list[Waiting], workers: Workers, rain: Raincheck | None, now: datetime) -> Iterator[Finding]:
    """Tell what is due, since when, and the likeliest reason why nobody has claimed it."""
    known = [each for each in due if rain is None or each.kind in rain.kinds]
    if not due:
        yield ok("queue", "No operation is due.")
    if known and workers.none:
        oldest = duration(now - known[0].due_since)
        number = counted(sum(each.count for each in known), "operation")
        yield problem(
            "queue", f"{number} due, the oldest for {oldest} ({_where(known[0])}): no worker is running.", _START
        )
    for each in due:
        if not workers.none or each not in known:
            yield _queued(each, workers, rain, now)


def _where(each: Waiting) -> str:
    return f"kind {printable(each.kind)!r}, queue {printable(each.queue)!r}"


def _queued(each: Waiting, workers: Workers, rain: Raincheck | None, now: datetime) -> Finding:
    message = (
        f"{counted(each.count, 'operation')} due, the oldest for {duration(now - each.due_since)} ({_where(each)})"
    )
    if rain is not None and each.kind not in rain.kinds:
        remedy = 'Bring the function back, or give its new name the old kind: kind="…". Until then they wait.'
        return problem("queue", f"{message}: the application does not know this kind.", remedy)
    if rain is not None and each.queue not in (rain.settings.queue_names or (each.queue,)):
        remedy = f"Start a worker for it: raincheck worker module:rain --queues {each.queue}"
        return warning("queue", f"{message}: RAINCHECK_QUEUES leaves this queue out.", remedy)
    if now - each.due_since < PATIENCE:
        return ok("queue", f"{message}.")
    remedy = (
        "The workers are busy with other work, serve other queues, or do not know the kind. Give them more slots "
        "(RAINCHECK_ASYNC_SLOTS, _THREAD_SLOTS, _PROCESS_SLOTS) or start another."
    )
    running = "although workers are running" if workers.live else "and no worker is seen"
    return warning("queue", f"{message}, {running}.", remedy)


def _deadlines(passed: Some, now: datetime) -> Finding:
    if not passed.count or passed.first is None:
        return ok("deadlines", "No unfinished operation is past its deadline.")
    since = duration(now - passed.first)
    message = f"{counted(passed.count, 'unfinished operation')} past the deadline, the first for {since}."
    return problem("deadlines", message, f"A live worker ends them. {_START}")
