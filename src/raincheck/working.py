"""The parts of a process that runs work, wired together; ``parts`` has those that every process has."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import socket
from typing import TYPE_CHECKING

from raincheck.core.wire import Links
from raincheck.executors.asyncio_ import AsyncioExecutor
from raincheck.executors.process import ProcessExecutor
from raincheck.executors.thread import ThreadExecutor
from raincheck.roles.cancel_watch import CancelWatch
from raincheck.roles.claimer import Claimer
from raincheck.roles.courier import Courier
from raincheck.roles.heartbeat import Heartbeat
from raincheck.roles.outcomes import OutcomeWriter
from raincheck.roles.pruner import Pruner
from raincheck.roles.reaper import Reaper
from raincheck.roles.runner import Runner
from raincheck.roles.taker import Taker

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Mapping, Sequence

    from raincheck.core.endpoints import WebhookPolicy
    from raincheck.core.transitions import Change
    from raincheck.ports_engines import Engine
    from raincheck.ports_functions import Executor, Kind
    from raincheck.roles.handover import Handover
    from raincheck.settings import Settings
    from raincheck.storage import Storage
    from raincheck.telemetry.telemetry import Telemetry

logger = logging.getLogger("raincheck")


class Working:
    """Claims, runs, renews, sends webhooks, takes over from the dead and prunes.

    All parts exist once it is constructed, so that each hears of every commit; ``start`` sets them going.

    :param engine: brings queued operations; None: they are looked for in the store.
    """

    def __init__(
        self,
        storage: Storage,
        settings: Settings,
        *,
        kinds: Mapping[str, Kind],
        app: object | None,
        policy: WebhookPolicy,
        engine: Engine | None,
        handover: Handover,
        telemetry: Telemetry,
    ) -> None:
        self._storage = storage
        self._settings = settings
        self._kinds = kinds
        names = settings.executor_names
        self._worked = {name: kind for name, kind in kinds.items() if kind.executor in names}
        self._policy = policy
        self._engine = engine
        self._telemetry = telemetry
        self._worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._drained = False
        self._executors: Sequence[Executor] = (
            AsyncioExecutor(slots=settings.async_slots),
            ThreadExecutor(slots=settings.thread_slots),
            ProcessExecutor(slots=settings.process_slots),
        )
        self._runner = self._make_runner(handover, app)
        self.claimer = self._make_claimer()
        self._cancels = CancelWatch(
            store=storage.store,
            worker=self._worker,
            busy=lambda: bool(self._runner.held),
            asked=self._runner.cancel,
        )
        self._heartbeat = Heartbeat(
            store=storage.store,
            lease=settings.lease,
            clock=storage.clock,
            held=lambda: self._runner.held,
            renewed=self._runner.renewed,
        )
        self._courier = self._make_courier() if policy else None
        self._taker = None if engine is None else self._make_taker()

    @property
    def silence(self) -> float:
        """Seconds since leases could last be renewed."""
        return self._heartbeat.silence

    async def start(self, stack: contextlib.AsyncExitStack) -> None:
        """Set all parts going; the stack stops them in reverse."""
        store, clock = self._storage.store, self._storage.clock
        self._storage.liveness.enter(self._worker)
        stack.callback(self._leave_unless_drained)
        await self._start_executors(stack)
        lease = self._settings.lease
        reaper = Reaper(store=store, liveness=self._storage.liveness, lease=lease, clock=clock)
        pruner = Pruner(store=store, blobs=self._storage.blobs, clock=clock)
        couriers = () if self._courier is None else (self._courier,)
        for role in (*couriers, self._heartbeat, reaper, pruner, self._cancels, self.claimer):
            await role.start()
            stack.push_async_callback(role.stop)
        if self._engine is not None and self._taker is not None:
            await self._engine.work(self._taker)

    async def _start_executors(self, stack: contextlib.AsyncExitStack) -> None:
        slots = self._telemetry.instruments.slots
        for executor in self._executors:
            kinds = [kind for kind in self._worked.values() if kind.executor == executor.name]
            await executor.start(kinds)
            stack.push_async_callback(executor.stop)
            if kinds:
                slots(executor.name, executor.slots)
                stack.callback(slots, executor.name, -executor.slots)

    # --- parts --------------------------------------------------------------------------------------------------

    def _make_runner(self, handover: Handover, app: object | None) -> Runner:
        store, blobs, clock = self._storage.store, self._storage.blobs, self._storage.clock
        return Runner(
            store=store,
            blobs=blobs,
            kinds=self._kinds,
            executors={executor.name: executor for executor in self._executors},
            handover=handover,
            outcomes=OutcomeWriter(store=store, blobs=blobs, clock=clock, chance=random.random),
            clock=clock,
            max_result=self._settings.max_result,
            app=app,
            ended=self._slot_freed,
            telemetry=self._telemetry,
        )

    def _make_claimer(self) -> Claimer:
        return Claimer(
            store=self._storage.store,
            worker=self._worker,
            kinds=self._worked,
            queues=self._settings.queue_names,
            room=self._room,
            lease=self._settings.lease,
            clock=self._storage.clock,
            begin=self._runner.start,
            freed=self._slot_freed,
            looks=self._engine is None,
        )

    def _make_taker(self) -> Taker:
        return Taker(
            store=self._storage.store,
            worker=self._worker,
            kinds=self._worked,
            queues=self._settings.queue_names,
            room=self.claimer.free,
            lease=self._settings.lease,
            clock=self._storage.clock,
            begin=self._runner.start,
        )

    def _make_courier(self) -> Courier:
        from raincheck.webhooks.deliver import HttpDeliverer  # noqa: PLC0415 - its packages are an extra

        base = f"{self._settings.public_url.rstrip('/')}{self._settings.prefix}/operations"
        return Courier(
            store=self._storage.store,
            deliverer=HttpDeliverer(),
            policy=self._policy,
            links=Links(base, bool(self._policy.webhooks)),
            worker=self._worker,
            liveness=self._storage.liveness,
            clock=self._storage.clock,
            chance=random.random,
            telemetry=self._telemetry,
        )

    # --- what parts tell each other -----------------------------------------------------------------------------

    def committed(self, changes: Sequence[Change]) -> None:
        """Hear what this process wrote."""
        self._runner.committed(changes)
        self.claimer.committed(changes)
        if self._courier is not None:
            self._courier.committed(changes)

    def notice(self) -> None:
        """Learn that another process has written something."""
        self.claimer.notice()
        self._cancels.notice()
        self.delivery_wanted()

    def delivery_wanted(self) -> None:
        """Look for webhooks to send."""
        if self._courier is not None:
            self._courier.notice()

    def _slot_freed(self) -> None:
        self.claimer.slot_freed()
        if self._taker is not None:
            self._taker.slot_freed()

    def _room(self, executor: str) -> int:
        room = self._runner.room(executor)
        return room if self._taker is None else room - self._taker.expected(executor)

    # --- the end ------------------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Stop claiming, let running work finish for a grace time, hand the rest back."""
        self._drained = True
        if self._engine is not None and self._taker is not None:
            self._taker.close()
            try:
                await self._engine.rest()
            except Exception:
                logger.exception(
                    "%s did not come to rest; what runs here is handed back all the same", self._engine.name
                )
            await self._taker.settle()
        await self.claimer.stop()
        grace = self._settings.drain.total_seconds()
        draining = [] if self._courier is None else [asyncio.ensure_future(self._courier.drain(grace))]
        drained = await self._runner.drain(grace)
        await asyncio.gather(*draining)
        if drained:
            self._storage.liveness.leave()

    def _leave_unless_drained(self) -> None:
        """Leave no lock behind where the start has failed; a drain knows whether anything goes on."""
        if not self._drained:
            self._storage.liveness.leave()
