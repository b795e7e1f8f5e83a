"""The executor for CPU-bound work: one child process per run, forked from a process that has imported it all."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from raincheck.core.errors import ExecutorError, OutputOverflow
from raincheck.core.operation import Problem
from raincheck.core.outcome import Died, Interrupted, Raised
from raincheck.executors import _wire as wire
from raincheck.executors._frames import Frame, FrameType, frame
from raincheck.executors._launch import Child, Ended, ForkServer
from raincheck.executors._memory import can_measure
from raincheck.executors._slots import Slots
from raincheck.executors._targets import plan_of, target_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raincheck.context import Recorder
    from raincheck.core.outcome import Outcome
    from raincheck.invocation import Invocation
    from raincheck.ports_functions import Kind

logger = logging.getLogger("raincheck.executors")
DRAIN_EVERY = 1 << 20
RESTART_WAITS = (0.0, 0.1, 0.5)
_STOPPED = "the process executor runs nothing: it was not started with this kind, or was stopped"
_CANCEL = frame(FrameType.CANCEL)


class ProcessExecutor:
    """Runs each operation in a process of its own, with lower priority, that can be killed at any time.

    Interrupting sends SIGTERM, which raises ``OperationCancelled`` in the function so that its clean-up runs, and kills
    the process with all that it started when it still lives after ``grace``.

    :param niceness: added to the priority of the children (larger is lower), so that requests go first.
    :param grace: how long an interrupted function may clean up.
    """

    name = "process"

    def __init__(
        self,
        *,
        slots: int | None = None,
        niceness: int = 10,
        grace: timedelta = timedelta(seconds=1),
    ) -> None:
        self._slots = Slots(slots or os.cpu_count() or 1)
        self._niceness = niceness
        self._grace = grace
        self._plan: dict[str, Any] | None = None
        self._server: ForkServer | None = None
        self._starting = asyncio.Lock()
        self._runs: dict[Invocation, _Run] = {}

    @property
    def slots(self) -> int:
        """The number of runs at a time."""
        return self._slots.total

    @property
    def free(self) -> int:
        """The number of runs that may start now."""
        return self._slots.free

    async def start(self, kinds: Sequence[Kind]) -> None:
        """Import the functions' modules in a fork server; without kinds there is none.

        :raises ExecutorError: a module cannot be imported, or this platform lacks what a kind needs.
        """
        if not kinds:
            return
        _check_platform(kinds)
        self._plan = plan_of(kinds)
        self._server = await ForkServer.start(self._plan)

    async def stop(self) -> None:
        """Interrupt all runs, kill what is left after a second, and end the fork server."""
        self._plan = None
        runs = tuple(self._runs.items())
        for invocation, _ in runs:
            self.interrupt(invocation)
        if runs:
            patience = min(1.0, self._grace.total_seconds())
            await asyncio.wait([run.child.ended for _, run in runs], timeout=patience)
        if self._server is not None:
            await self._server.close()
            self._server = None

    async def run(self, invocation: Invocation) -> Outcome:
        """Run a function to its end, and that of all processes it started.

        :raises asyncio.CancelledError: the caller was cancelled; the child was killed.
        :raises ExecutorError: the executor was not started, or its fork server died and could not be started again.
        :raises OSError: this machine has no process or descriptor left.
        """
        await self._slots.take()
        try:
            server = await self._running_server()
            if invocation.context.cancelled:
                return Interrupted()
            return await self._run(invocation, server)
        finally:
            self._slots.give_back()

    def interrupt(self, invocation: Invocation) -> None:
        """Ask a run to stop; kill it if it has not stopped when its grace is over."""
        invocation.context.request_cancel()
        run = self._runs.get(invocation)
        if run is None or run.killer is not None:
            return
        run.child.channel.send(_CANCEL)
        run.server.signal(run.child, signal.SIGTERM)
        loop = asyncio.get_running_loop()
        run.killer = loop.call_later(self._grace.total_seconds(), run.kill)

    async def _run(self, invocation: Invocation, server: ForkServer) -> Outcome:
        child = server.spawn(memory_limit=invocation.kind.memory_limit, niceness=self._niceness)
        run = self._runs[invocation] = _Run(invocation, server, child)
        child.channel.send(wire.encode_request(invocation, target_of(invocation.kind)))
        try:
            await run.follow()
            ended = await asyncio.shield(child.ended)
        except asyncio.CancelledError:
            run.kill()
            await asyncio.wait((child.ended,), timeout=1.0)
            raise
        finally:
            if run.killer is not None:
                run.killer.cancel()
            child.channel.close()
            del self._runs[invocation]
        return run.conclude(ended)

    async def _running_server(self) -> ForkServer:
        """Return the fork server, started again if it has died."""
        async with self._starting:
            if self._server is not None and self._server.alive:
                return self._server
            if self._plan is None:
                raise ExecutorError(_STOPPED)
            if self._server is not None:
                await self._server.close()
            server = await _restart(self._plan)
            if self._plan is None:  # stopped meanwhile
                await server.close()
                raise ExecutorError(_STOPPED)
            self._server = server
            return server


@dataclass(slots=True, eq=False)
class _Run:
    """One run as seen from here: what its child tells, and what is made of it."""

    invocation: Invocation
    server: ForkServer
    child: Child
    killer: asyncio.TimerHandle | None = None
    outcome: Outcome | None = None
    undrained: int = 0

    def kill(self) -> None:
        """Kill the child with all that it started."""
        self.server.signal(self.child, signal.SIGKILL)

    async def follow(self) -> None:
        """Hand on what the child tells until it tells no more."""
        try:
            while frames := await self.child.channel.receive():
                for told in frames:
                    await self._take(told)
        except Exception as error:  # noqa: BLE001 - what the recorder refuses, the function's own call would have raised
            self.kill()
            self.outcome = self.invocation.explain(error)

    async def _take(self, told: Frame) -> None:
        recorder = self.invocation.context.recorder
        match told.type:
            case FrameType.OUTPUT:
                await _push_output(recorder, told)
                self.undrained += len(told.body)
            case FrameType.PROGRESS:
                recorder.progress(wire.decode_progress(told))
            case FrameType.LOG:
                recorder.log(wire.decode_log(told))
                self.undrained += len(told.header)
            case FrameType.DRAIN:
                await recorder.drain()
                self.child.channel.send(frame(FrameType.DRAINED, told.fields()))
            case FrameType.OUTCOME:
                self.outcome = self._judge(told)
        if self.undrained > DRAIN_EVERY:  # not reading meanwhile is what holds the child back
            self.undrained = 0
            await recorder.drain()

    def _judge(self, told: Frame) -> Outcome:
        outcome, terminated = wire.decode_outcome(told)
        if outcome == Interrupted() and terminated and not self.invocation.context.cancelled:
            return Died(reason="the child process was terminated by a SIGTERM from outside")
        return outcome

    def conclude(self, ended: Ended) -> Outcome:
        """Return the outcome: what the child told, else what its end says.

        :raises OSError: there was no child, because this machine has no process left.
        """
        if ended.unforked is not None:
            raise OSError(ended.unforked)
        if self.outcome is not None:
            return self.outcome
        if ended.over_memory is not None:
            return _out_of_memory(ended.over_memory, self.invocation.kind.memory_limit or 0)
        if self.invocation.context.cancelled:
            return Interrupted()
        return Died(reason=ended.reason or _exit_description(ended.code or 0))


async def _restart(plan: dict[str, Any]) -> ForkServer:
    reason = ""
    for wait in RESTART_WAITS:
        await asyncio.sleep(wait)
        try:
            server = await ForkServer.start(plan)
        except (ExecutorError, OSError) as error:
            reason = str(error)
            logger.error("the fork server died and could not be started again: %s", reason)  # noqa: TRY400
        else:
            logger.warning("the fork server had died; it was started again")
            return server
    msg = f"the fork server died and could not be started again: {reason}"
    raise ExecutorError(msg)


async def _push_output(recorder: Recorder, told: Frame) -> None:
    output = wire.decode_output(told)
    while True:
        try:
            recorder.output(output)
        except OutputOverflow:
            await recorder.drain()
        else:
            return


def _out_of_memory(used: int, limit: int) -> Raised:
    mebibytes = 1 << 20
    detail = (
        f"The operation used {used / mebibytes:.0f} MiB of memory and was stopped;"
        f" its limit is {limit / mebibytes:.0f} MiB."
    )
    problem = Problem(code="out-of-memory", title="The operation used too much memory", detail=detail)
    return Raised(error=problem, retryable=True)


def _exit_description(code: int) -> str:
    if code >= 0:
        return f"the child process exited with code {code} before the function ended"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # a real-time signal
        name = "unnamed"
    return f"the child process was killed by signal {-code} ({name})"


def _check_platform(kinds: Sequence[Kind]) -> None:
    if not hasattr(os, "fork"):
        msg = 'executor="process" needs a platform with fork(), such as Linux or macOS; use executor="thread" here'
        raise ExecutorError(msg)
    limited = [kind.name for kind in kinds if kind.memory_limit is not None]
    if limited and not can_measure():
        msg = f"memory_limit (kind {limited[0]!r}) needs /proc, which this platform lacks; remove the limit"
        raise ExecutorError(msg)
