"""A runner with fake executors, whose runs end when a test says how."""

from __future__ import annotations

import asyncio

from raincheck.core.outcome import Interrupted
from raincheck.core.retry import Retry
from raincheck.ports_functions import Kind
from raincheck.roles.handover import Handover
from raincheck.roles.outcomes import OutcomeWriter
from raincheck.roles.runner import Runner
from raincheck.stores.blobs import LocalBlobs
from raincheck.testing.conformance.specimens import NOW, SECOND, started


class Stage:
    """A fake executor: each run ends when the test says how; interrupting ends it unless it is deaf."""

    def __init__(self, name="async") -> None:
        self.name = name
        self.slots = self.free = 10
        self.deaf = False
        self.runs = {}
        self.began = asyncio.Event()

    async def run(self, invocation):
        if invocation.context.cancelled:
            return Interrupted()
        end = self.runs[invocation.context.id] = asyncio.get_running_loop().create_future()
        self.invocation = invocation
        self.began.set()
        return await end

    def interrupt(self, invocation):
        invocation.context.request_cancel()
        end = self.runs.get(invocation.context.id)
        if end is not None and not end.done() and not self.deaf:
            end.set_result(Interrupted())

    def end(self, operation, outcome):
        self.runs[operation.id].set_result(outcome)


class House:
    """A runner with fake executors on a memory store."""

    def __init__(self, store, folder, *, timeout=None, handover=10) -> None:
        self.store = store
        self.executors = {"async": Stage(), "thread": Stage("thread")}
        self.handover = Handover(handover)
        self.ended = asyncio.Event()
        blobs = LocalBlobs(folder)
        kinds = {
            name: Kind(
                name=name,
                function=print,
                executor=executor,
                retry=Retry(attempts=2),
                timeout=timeout,
                max_losses=3,
                retention=SECOND,
                memory_limit=None,
                queue="default",
                priority=0,
                wait=0 * SECOND,
                binding=None,
            )
            for name, executor in (("report", "async"), ("image", "thread"))
        }
        self.runner = Runner(
            store=store,
            blobs=blobs,
            kinds=kinds,
            executors=self.executors,
            handover=self.handover,
            outcomes=OutcomeWriter(store=store, blobs=blobs, clock=lambda: NOW, chance=lambda: 0.5),
            clock=lambda: NOW,
            max_result=1 << 20,
            app=None,
            ended=self.ended.set,
        )
        store.subscribe(self.runner.committed)

    async def begin(self, **fields):
        """Start an operation and wait until its function runs."""
        operation = await started(self.store, **fields)
        self.runner.start(operation)
        stage = self.executors["thread" if operation.kind == "image" else "async"]
        await asyncio.wait_for(stage.began.wait(), 5)
        stage.began.clear()
        return operation

    async def over(self, operation):
        """Wait for the end of a run; return the record."""
        await asyncio.wait_for(self.ended.wait(), 5)
        self.ended.clear()
        return await self.store.get(operation.id)
