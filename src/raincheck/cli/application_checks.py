"""Checks of an application: its kinds, its guards, its process functions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from raincheck.cli.findings import Finding, ok, problem, warning
from raincheck.cli.formats import counted
from raincheck.core.errors import ExecutorError
from raincheck.executors.process import ProcessExecutor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from raincheck.raincheck import Raincheck


def check_application(rain: Raincheck, target: str) -> Iterator[Finding]:
    """Check what can be told of an application without starting it."""
    yield _kinds(rain, target)
    yield _guards(rain)
    yield from _process_kinds(rain)
    if not rain.settings.workers:
        remedy = f"Keep `raincheck worker {target}` running beside it."
        yield warning("application", "The web processes run no work (RAINCHECK_WORKERS is off).", remedy)


def _kinds(rain: Raincheck, target: str) -> Finding:
    if not rain.kinds:
        remedy = "Name the module that imports all modules with decorated functions."
        return problem("application", f"{target} has no operations.", remedy)
    return ok("application", f"{target} has {counted(len(rain.kinds), 'kind')}: {', '.join(sorted(rain.kinds))}.")


def _guards(rain: Raincheck) -> Finding:
    if not rain.unguarded:
        return ok("guards", "No guarded function has open operation routes.")
    message = (
        f"{', '.join(rain.unguarded)} is guarded by dependencies, but the operation routes are not: whoever learns an "
        "id may read and cancel it."
    )
    return warning("guards", message, "Pass dependencies= or owner= to Raincheck().")


def _process_kinds(rain: Raincheck) -> Iterator[Finding]:
    """Import the process functions as a worker would: in a fresh process."""
    kinds = [kind for kind in rain.kinds.values() if kind.executor == "process"]
    if not kinds:
        return

    async def start_and_stop() -> None:
        executor = ProcessExecutor(slots=1)
        await executor.start(kinds)
        await executor.stop()

    names = ", ".join(sorted(kind.name for kind in kinds))
    try:
        asyncio.run(start_and_stop())
    except ExecutorError as error:
        message = f"A fresh process cannot import the functions of {names}: {' '.join(str(error).split())}"
        yield problem("process-kinds", message, "Correct the import; no worker starts before that.")
    else:
        yield ok("process-kinds", f"A fresh process can import the functions of {names}.")
