"""The running parts of one process, wired together; started in order and stopped in reverse."""

from __future__ import annotations

import contextlib
import logging
import secrets
from typing import TYPE_CHECKING, Self

from raincheck.core.errors import StorageFull, StoreUnavailable
from raincheck.fastapi.serving import Serving
from raincheck.garbage import loaded_objects_frozen, young_collections_after
from raincheck.ids import Ids
from raincheck.logs import operation_records
from raincheck.ports_engines import dispatch_of, is_transactional
from raincheck.roles.census import Census
from raincheck.roles.delivery_desk import DeliveryDesk
from raincheck.roles.dispatcher import Dispatcher
from raincheck.roles.durations import Durations
from raincheck.roles.follower import Follower
from raincheck.roles.handover import Handover
from raincheck.roles.many_follower import ManyFollower
from raincheck.roles.owner_follower import OwnerFollower
from raincheck.roles.readiness import Readiness
from raincheck.roles.service import Service
from raincheck.roles.tail import Tail
from raincheck.shutdown import chained_signals
from raincheck.storage import open_storage
from raincheck.watching import Watching
from raincheck.working import Working

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raincheck.core.deliveries import Attempt, Message
    from raincheck.core.endpoints import WebhookPolicy
    from raincheck.core.transitions import Change
    from raincheck.ports_engines import Engine
    from raincheck.ports_functions import Kind
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
        self._kinds = kinds
        self._app = app
        self._workers = workers
        self._policy = policy
        self._watching = Watching(prometheus=metrics)
        self._telemetry = self._watching.telemetry
        self._dispatcher: Dispatcher | None = None
        self._working: Working | None = None
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
        self._storage = await open_storage(self._settings.location, stack, timed=timed)
        self._clock = self._storage.clock
        self._store = self._storage.store
        await self._tell_endpoints()
        self._store.subscribe(self._committed)

    async def _tell_endpoints(self) -> None:
        try:
            await self._store.set_endpoints(self._policy.endpoints)
        except (StorageFull, StoreUnavailable) as error:
            # They count in this process all the same; only commands of the command line do not know of a change.
            logger.warning("the endpoints of webhooks could not be kept in the store: %s", error)

    async def _start_census(self, stack: contextlib.AsyncExitStack) -> None:
        census = self._watching.census = Census(
            overview=self._storage.overview,
            clock=self._clock,
            kinds=tuple(self._kinds),
            periodic=self._watching.periodic,
        )
        await census.start()
        stack.push_async_callback(census.stop)

    async def _start_serving(self, stack: contextlib.AsyncExitStack) -> None:
        self._tail = Tail(store=self._store, overview=self._storage.overview)
        self._durations = Durations()
        self._handover = Handover(self._settings.handover if self._workers else 0)
        self._service = Service(
            store=self._store,
            blobs=self._storage.blobs,
            tail=self._tail,
            durations=self._durations,
            kinds=self._kinds,
            clock=self._clock,
            new_id=Ids().at,
            max_queued=self._settings.max_queued,
            telemetry=self._telemetry,
        )
        self.serving = self._make_serving()
        await self._tail.start()
        stack.push_async_callback(self._tail.stop)
        if self._storage.signals is not None:
            await self._storage.signals.start(self._noticed)
            stack.push_async_callback(self._storage.signals.stop)

    def _follow(self, positions: Mapping[str, int]) -> Follower | ManyFollower:
        if len(positions) > 1:
            return ManyFollower(tail=self._tail, store=self._store, positions=positions)
        ((operation_id, position),) = positions.items()
        return Follower(tail=self._tail, store=self._store, operation_id=operation_id, position=position)

    def _make_serving(self) -> Serving:
        tail, store = self._tail, self._store
        return Serving(
            service=self._service,
            blobs=self._storage.blobs,
            handover=self._handover,
            tickets=store,
            clock=self._clock,
            max_body=self._settings.max_body,
            follow=self._follow,
            when_draining=tail.when_draining,
            follow_owner=lambda owner: OwnerFollower(tail=tail, owner=owner, now=self._clock()),
            callbacks=self._policy.callbacks,
            deliveries=DeliveryDesk(
                store=store,
                service=self._service,
                clock=self._clock,
                woken=self._delivery_wanted,
                policy=self._policy,
                send=_sent_once,
                named=lambda: f"msg_test_{secrets.token_hex(12)}",
            ),
            overview=self._storage.overview,
            liveness=self._storage.liveness,
            lease=self._settings.lease,
            readiness=Readiness(
                probe=lambda: store.queue_depth(limit=1),
                draining=lambda: self._service.draining,
                silence=lambda: None if self._working is None else self._working.silence,
                lease=self._settings.lease.total_seconds(),
            ),
            exposition=self._watching.exposition if self._watching.exposes else None,
        )

    async def _start_engine(self, stack: contextlib.AsyncExitStack) -> None:
        engine = self._engine
        if engine is None:
            return
        stack.push_async_callback(engine.stop)
        await engine.start(self._kinds, clock=self._clock)
        if is_transactional(engine):
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
        self._working = Working(
            self._storage,
            self._settings,
            kinds=self._kinds,
            app=self._app,
            policy=self._policy,
            engine=self._engine,
            handover=self._handover,
            telemetry=self._telemetry,
        )
        self._service.claimer = self._working.claimer
        await self._working.start(stack)

    # --- what parts tell each other -----------------------------------------------------------------------------

    def _committed(self, changes: Sequence[Change]) -> None:
        self._telemetry.instruments.committed(changes)
        self._tail.committed(changes)
        self._durations.committed(changes)
        if self._working is not None:
            self._working.committed(changes)
        if self._dispatcher is not None:
            self._dispatcher.committed(changes)

    def _noticed(self) -> None:
        self._tail.notice()
        if self._working is not None:
            self._working.notice()

    def _delivery_wanted(self) -> None:
        if self._working is not None:
            self._working.delivery_wanted()

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
        if self._working is not None:
            await self._working.drain()


async def _sent_once(message: Message) -> Attempt:
    """Send without the courier, which only processes with workers have."""
    from raincheck.webhooks.deliver import HttpDeliverer  # noqa: PLC0415 - its packages are an extra

    deliverer = HttpDeliverer()
    await deliverer.start()
    try:
        return await deliverer.send(message)
    finally:
        await deliverer.stop()
