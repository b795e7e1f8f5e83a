"""Runs in child processes, as tests look at them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select

from raincheck.core.outcome import Returned
from tests.executors.invoking import Signalling, invocation

HANG = 60


@contextlib.asynccontextmanager
async def running(executor, function, **keywords):
    """Give a run that has emitted its first chunk, that chunk, and the task that awaits its outcome."""
    recorder = Signalling()
    run = invocation(function, recorder=recorder, **keywords)
    task = asyncio.create_task(executor.run(run))
    first = await recorder.first_output()
    try:
        async with asyncio.timeout(HANG):
            yield run, first, task
    finally:
        task.cancel()
        await asyncio.wait((task,))


def returned(outcome):
    assert isinstance(outcome, Returned), outcome
    return json.loads(outcome.body)


def wait_until_dead(pid):
    """Wait for the end of a process that is no child of this one."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([watched], [], [], HANG)[0], f"process {pid} lives on"
    finally:
        os.close(watched)
