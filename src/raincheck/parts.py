"""The running parts of one process, wired together; started in order and stopped in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import secrets
import socket
from typing import TYPE_CHECKING, Self

from raincheck.core.errors import StorageFull, StoreUnavailable
from raincheck.core.wire import Links
from raincheck.executors.asyncio_ import AsyncioExecutor
from raincheck.executors.process import ProcessExecutor
from raincheck.executors.thread import ThreadExecutor
from raincheck.fastapi.serving import Serving
from raincheck.garbage import loaded_objects_frozen, young_collections_after
from raincheck.ids import Ids
from raincheck.logs import operation_records
from raincheck.ports_engines import dispatch_of
from raincheck.roles.cancel_watch import CancelWatch
from raincheck.roles.census import Census
from raincheck.roles.claimer import Claimer
from raincheck.roles.courier import Courier
from raincheck.roles.delivery_desk import DeliveryDesk
from raincheck.roles.dispatcher import Dispatcher
from raincheck.roles.durations import Durations
from raincheck.roles.follower import Follower
from raincheck.roles.handover import Handover
from raincheck.roles.heartbeat import Heartbeat
from raincheck.roles.outcomes import OutcomeWriter
from raincheck.roles.owner_follower import OwnerFollower
from raincheck.roles.pruner import Pruner
from raincheck.roles.readiness import Readiness
from raincheck.roles.reaper import Reaper
from raincheck.roles.runner import Runner
from raincheck.roles.service import Service
from raincheck.roles.tail import Tail
from raincheck.roles.taker import Taker
from raincheck.shutdown import chained_signals
from raincheck.storage import open_storage
from raincheck.watching import Watching

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raincheck.core.deliveries import Attempt, Message
    from raincheck.core.endpoints import WebhookPolicy
    from raincheck.core.transitions import Change
    from raincheck.ports import Lease
    from raincheck.ports_engines import Engine
    from raincheck.ports_functions import Executor, Kind
    from raincheck.settings import Settings

logger = logging.getLogger("raincheck")


class Parts:
    """An async context manager around all parts of this process.

    :param workers: whether this process runs work and sends webhooks.
    :param engine: brings queued operations to workers; None: they look for them in the store.
    :param metrics: whether it serves metrics to Prometheus.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        kinds: Mapping[str, Kind],
        app: object | None,
        workers: bool,
        policy: WebhookPolicy,
        engine: Engine | None = None,
        metrics: bool = False,
    ) -> None:
        self._settings = settings
        self._engine = engine
        names = settings.executor_names
        self._worked = {name: kind for name, kind in kinds.items() if kind.executor in names}
        self._kinds = kinds
        self._app = app
        self._workers = workers
        self._policy = policy
        self._watching = Watching(prometheus=metrics)
        self._telemetry = self._watching.telemetry
        self._stack = contextlib.AsyncExitStack()
        self._drained = False

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(operation_records())
            await self._open_store(stack)
            await self._start_census(stack)
            await self._start_serving(stack)
            await self._start_engine(stack)
            if self._workers:
                await self._start_working(stack)
            stack.enter_context(chained_signals(self.begin_drain))
            if self._settings.freeze:
                stack.enter_context(loaded_objects_frozen())
            stack.enter_context(young_collections_after(self._settings.gc_threshold))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.drain()
        await self._stack.aclose()

    # --- parts --------------------------------------------------------------------------------------------------

    async def _open_store(self, stack: contextlib.AsyncExitStack) -> None:
        instruments = self._telemetry.instruments
        timed = instruments.commit if instruments else None
        storage = await open_storage(self._settings.location, stack, timed=timed)
        self._store = storage.store
        self._overview = storage.overview
        await self._tell_endpoints()
        self._store.subscribe(self._committed)
        self._blobs = storage.blobs
        self._liveness = storage.liveness
        self._signals = storage.signals
        self._clock = storage.clock

    async def _tell_endpoints(self) -> None:
        try:
            await self._store.set_endpoints(self._policy.endpoints)
        except (StorageFull, StoreUnavailable) as error:
            # They count in this process all the same; only commands of the command line do not know of a change.
            logger.warning("the endpoints of webhooks could not be kept in the store: %s", error)

    async def _start_census(self, stack: contextlib.AsyncExitStack) -> None:
        census = self._watching.census = Census(
            overview=self._overview, clock=self._clock, kinds=tuple(self._kinds), periodic=self._watching.periodic
        )
        await census.start()
        stack.push_async_callback(census.stop)

    async def _start_serving(self, stack: contextlib.AsyncExitStack) -> None:
        self._tail = Tail(store=self._store, overview=self._overview)
        self._durations = Durations()
        self._handover = Handover(self._settings.handover if self._workers else 0)
        self._runner: Runner | None = None
        self._claimer: Claimer | None = None
        self._cancels: CancelWatch | None = None
        self._courier: Courier | None = None
        self._dispatcher: Dispatcher | None = None
        self._taker: Taker | None = None
        self._heartbeat: Heartbeat | None = None
        self._service = Service(
            store=self._store,
            blobs=self._blobs,
            tail=self._tail,
            durations=self._durations,
            kinds=self._kinds,
            clock=self._clock,
            new_id=Ids().at,
            max_queued=self._settings.max_queued,
            telemetry=self._telemetry,
        )
        self.serving = Serving(
            service=self._service,
            blobs=self._blobs,
            handover=self._handover,
            tickets=self._store,
            clock=self._clock,
            max_body=self._settings.max_body,
            follow=lambda positions, cut: Follower(tail=self._tail, store=self._store, positions=positions, cut=cut),
            when_draining=self._tail.when_draining,
            follow_owner=lambda owner, cut: OwnerFollower(tail=self._tail, owner=owner, now=self._clock(), cut=cut),
            callbacks=self._policy.callbacks,
            deliveries=DeliveryDesk(
                store=self._store,
                service=self._service,
                clock=self._clock,
                woken=self._delivery_wanted,
                policy=self._policy,
                send=_sent_once,
                named=lambda: f"msg_test_{secrets.token_hex(12)}",
            ),
            overview=self._overview,
            liveness=self._liveness,
            lease=self._settings.lease,
            readiness=Readiness(
                probe=lambda: self._store.queue_depth(limit=1),
                draining=lambda: self._service.draining,
                silence=lambda: None if self._heartbeat is None else self._heartbeat.silence,
                lease=self._settings.lease.total_seconds(),
            ),
            exposition=self._watching.exposition if self._watching.exposes else None,
        )
        await self._tail.start()
        stack.push_async_callback(self._tail.stop)
        if self._signals is not None:
            await self._signals.start(self._noticed)
            stack.push_async_callback(self._signals.stop)

    async def _start_engine(self, stack: contextlib.AsyncExitStack) -> None:
        engine = self._engine
        if engine is None:
            return
        stack.push_async_callback(engine.stop)
        await engine.start(self._kinds, clock=self._clock)
        if engine.transactional:
            self._store.set_terms(
                engine.terms,
                enlist=lambda connection, queued: engine.enlist(connection, [dispatch_of(each) for each in queued]),
            )
        else:
            self._store.set_terms(engine.terms)
        self._dispatcher = Dispatcher(store=self._store, engine=engine, kinds=self._kinds, clock=self._clock)
        await self._dispatcher.start()
        stack.push_async_callback(self._dispatcher.stop)

    async def _start_working(self, stack: contextlib.AsyncExitStack) -> None:
        self._worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._liveness.enter(self._worker)
        stack.callback(self._leave_unless_drained)
        executors = await self._start_executors(stack)
        outcomes = OutcomeWriter(store=self._store, blobs=self._blobs, clock=self._clock, chance=random.random)
        self._runner = Runner(
            store=self._store,
            blobs=self._blobs,
            kinds=self._kinds,
            executors=executors,
            handover=self._handover,
            outcomes=outcomes,
            clock=self._clock,
            max_result=self._settings.max_result,
            app=self._app,
            ended=self._slot_freed,
            telemetry=self._telemetry,
        )
        lease = self._settings.lease
        self._claimer = Claimer(
            store=self._store,
            worker=self._worker,
            kinds=self._worked,
            queues=self._settings.queue_names,
            room=self._room,
            lease=lease,
            clock=self._clock,
            begin=self._runner.start,
            freed=self._slot_freed,
            looks=self._engine is None,
        )
        self._service.claimer = self._claimer
        self._cancels = CancelWatch(
            store=self._store,
            worker=self._worker,
            busy=lambda: bool(self._held()),
            asked=self._runner.cancel,
        )
        if self._policy:
            await self._start_courier(stack)
        self._heartbeat = Heartbeat(
            store=self._store, lease=lease, clock=self._clock, held=self._held, renewed=self._runner.renewed
        )
        reaper = Reaper(store=self._store, liveness=self._liveness, lease=lease, clock=self._clock)
        pruner = Pruner(store=self._store, blobs=self._blobs, clock=self._clock)
        for role in (self._heartbeat, reaper, pruner, self._cancels, self._claimer):
            await role.start()
            stack.push_async_callback(role.stop)
        if self._engine is not None:
            self._taker = Taker(
                store=self._store,
                worker=self._worker,
                kinds=self._worked,
                queues=self._settings.queue_names,
                room=self._claimer.free,
                lease=lease,
                clock=self._clock,
                begin=self._runner.start,
            )
            await self._engine.work(self._taker)

    async def _start_courier(self, stack: contextlib.AsyncExitStack) -> None:
        from raincheck.webhooks.deliver import HttpDeliverer  # noqa: PLC0415 - its packages are an extra

        base = f"{self._settings.public_url.rstrip('/')}{self._settings.prefix}/operations"
        self._courier = Courier(
            store=self._store,
            deliverer=HttpDeliverer(),
            policy=self._policy,
            links=Links(base, bool(self._policy.webhooks)),
            worker=self._worker,
            liveness=self._liveness,
            clock=self._clock,
            chance=random.random,
            telemetry=self._telemetry,
        )
        await self._courier.start()
        stack.push_async_callback(self._courier.stop)

    async def _start_executors(self, stack: contextlib.AsyncExitStack) -> dict[str, Executor]:
        made: Sequence[Executor] = (
            AsyncioExecutor(slots=self._settings.async_slots),
            ThreadExecutor(slots=self._settings.thread_slots),
            ProcessExecutor(slots=self._settings.process_slots),
        )
        for executor in made:
            kinds = [kind for kind in self._worked.values() if kind.executor == executor.name]
            await executor.start(kinds)
            stack.push_async_callback(executor.stop)
            if kinds:
                self._telemetry.instruments.slots(executor.name, executor.slots)
                stack.callback(self._telemetry.instruments.slots, executor.name, -executor.slots)
        return {executor.name: executor for executor in made}

    # --- what parts tell each other -----------------------------------------------------------------------------

    def _committed(self, changes: Sequence[Change]) -> None:
        self._telemetry.instruments.committed(changes)
        self._tail.committed(changes)
        self._durations.committed(changes)
        if self._runner is not None:
            self._runner.committed(changes)
        if self._claimer is not None:
            self._claimer.committed(changes)
        if self._courier is not None:
            self._courier.committed(changes)
        if self._dispatcher is not None:
            self._dispatcher.committed(changes)

    def _noticed(self) -> None:
        self._tail.notice()
        if self._claimer is not None:
            self._claimer.notice()
        if self._cancels is not None:
            self._cancels.notice()
        self._delivery_wanted()

    def _delivery_wanted(self) -> None:
        if self._courier is not None:
            self._courier.notice()

    def _slot_freed(self) -> None:
        if self._claimer is not None:
            self._claimer.slot_freed()
        if self._taker is not None:
            self._taker.slot_freed()

    def _room(self, executor: str) -> int:
        room = 0 if self._runner is None else self._runner.room(executor)
        return room if self._taker is None else room - self._taker.expected(executor)

    def _held(self) -> list[Lease]:
        return [] if self._runner is None else self._runner.held

    def _leave_unless_drained(self) -> None:
        """Leave no lock behind where the start has failed; a drain knows whether anything goes on."""
        if not self._drained:
            self._liveness.leave()

    # --- the end ------------------------------------------------------------------------------------------------

    def begin_drain(self) -> None:
        """Accept nothing new and end all waits; the server still finishes what it answers."""
        self._service.draining = True
        self._tail.drain()

    async def drain(self) -> None:
        """Stop claiming, let running work finish for a grace time, hand the rest back."""
        if self._drained:
            return
        self._drained = True
        self.begin_drain()
        if self._claimer is None or self._runner is None:
            return
        if self._engine is not None and self._taker is not None:
            self._taker.close()
            try:
                await self._engine.rest()
            except Exception:
                logger.exception(
                    "%s did not come to rest; what runs here is handed back all the same", self._engine.name
                )
            await self._taker.settle()
        await self._claimer.stop()
        grace = self._settings.drain.total_seconds()
        draining = [] if self._courier is None else [asyncio.ensure_future(self._courier.drain(grace))]
        drained = await self._runner.drain(grace)
        await asyncio.gather(*draining)
        if drained:
            self._liveness.leave()


async def _sent_once(message: Message) -> Attempt:
    """Send without the courier, which only processes with workers have."""
    from raincheck.webhooks.deliver import HttpDeliverer  # noqa: PLC0415 - its packages are an extra

    deliverer = HttpDeliverer()
    await deliverer.start()
    try:
        return await deliverer.send(message)
    finally:
        await deliverer.stop()
