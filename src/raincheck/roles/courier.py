"""Sends webhooks: leases deliveries that are due, makes one attempt each, writes what it found."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

from raincheck.core import delivery_rules
from raincheck.core.deliveries import Attempt, Delivery, DeliveryStatus, Health, Message
from raincheck.core.errors import LeaseLost, StorageFull, StoreUnavailable
from raincheck.core.operation import Operation
from raincheck.core.webhook_body import webhook_body
from raincheck.own_threads import in_own_thread
from raincheck.ports import Lease, OperationStore
from raincheck.ports_deliveries import DeliveryClaim, DeliveryStore
from raincheck.roles.receivers import FIRST_ROOM, Receivers
from raincheck.roles.trouble import Trouble
from raincheck.telemetry.telemetry import UNWATCHED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from raincheck.core.delivery_rules import Verdict
    from raincheck.core.endpoints import Callbacks, Webhook, WebhookPolicy
    from raincheck.core.trace_context import TraceContext
    from raincheck.core.transitions import Change
    from raincheck.core.wire import Links
    from raincheck.ports import Liveness
    from raincheck.ports_deliveries import Deliverer
    from raincheck.telemetry.telemetry import Telemetry

logger = logging.getLogger("raincheck.webhooks")
_POLL = 1.0
_LEASE = timedelta(seconds=60)  # an attempt takes 15 seconds at most; the rest is for a store that is away
_PATIENCE = 0.2
_SOON = timedelta(hours=1)
_SILENCE = frozenset({"unresolved", "unreachable", "timeout", "tls", "malformed-answer"})


class Store(DeliveryStore, OperationStore, Protocol):
    """Deliveries and the operations that they tell of."""


class Courier:
    """Delivers at least once: an attempt whose outcome could not be written is made again, with the same id.

    It looks when this process wrote a delivery, when one falls due, when a receiver has room again, when another
    process wrote something, and once a second behind all that. What a dead process held is taken over.

    :param policy: whom this process may call, and the secrets.
    :param links: absolute links to operations.
    :param chance: a random number in [0, 1) for the jitter.
    :param slots: attempts under way at once, over all receivers.
    """

    def __init__(
        self,
        *,
        store: Store,
        deliverer: Deliverer,
        policy: WebhookPolicy,
        links: Links,
        worker: str,
        liveness: Liveness,
        clock: Callable[[], datetime],
        chance: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
        slots: int = 100,
        telemetry: Telemetry = UNWATCHED,
    ) -> None:
        self._store = store
        self._deliverer = deliverer
        self._policy = policy
        self._links = links
        self._worker = worker
        self._liveness = liveness
        self._clock = clock
        self._chance = chance
        self._monotonic = monotonic
        self._slots = slots
        self._telemetry = telemetry
        self._receivers = Receivers(monotonic=monotonic)
        self._look = asyncio.Event()
        self._sending: dict[asyncio.Task[None], Delivery] = {}
        self._task: asyncio.Task[None] | None = None
        self._took_over_at = float("-inf")
        self._trouble = Trouble(logger, "no delivery could be leased", monotonic=monotonic)
        self._unwritten = Trouble(logger, "outcomes of deliveries could not be written", monotonic=monotonic)

    async def start(self) -> None:
        """Begin to deliver, taking over at once what dead processes held.

        Start it before the reaper, which forgets dead processes that hold no operation.
        """
        await self._deliverer.start()
        try:
            await self._take_over()
        except (StoreUnavailable, StorageFull) as error:
            logger.warning("deliveries of dead processes could not be looked for; they wait for their lease: %s", error)
        self._look.set()
        self._task = asyncio.create_task(self._work(), name="raincheck-courier")

    async def stop(self) -> None:
        """Lease nothing more, hand back what is under way, and close the connections."""
        await self.drain(0.0)
        await self._deliverer.stop()

    async def drain(self, grace: float) -> None:
        """Let attempts under way end for a grace time in seconds, then hand the rest back for others to make."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._sending and grace > 0:
            await asyncio.wait(self._sending, timeout=grace)
        rest = list(self._sending)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    # --- when to look -------------------------------------------------------------------------------------------

    def committed(self, changes: Sequence[Change]) -> None:
        """Look for what this process has written."""
        for change in changes:
            for delivery in change.deliveries:
                self._look_at(delivery.due_at)

    def notice(self) -> None:
        """Another process has written something, or a caller asked for a delivery again."""
        self._look.set()

    def _look_at(self, due_at: datetime) -> None:
        wait = due_at - self._clock()
        if wait <= timedelta(0):
            self._look.set()
        elif wait < _SOON:  # later ones are found by polling
            asyncio.get_running_loop().call_later(wait.total_seconds(), self._look.set)

    async def _work(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL):
                    await self._look.wait()
            self._look.clear()
            try:
                await self.run_once()
            except (StoreUnavailable, StorageFull) as error:
                self._trouble.met(error)
                await asyncio.sleep(_POLL)
            except Exception:
                logger.exception("no delivery could be leased; trying again")  # the last line of defence: never stop
                await asyncio.sleep(_POLL)
            else:
                self._trouble.over()

    async def run_once(self) -> None:
        """Take over what nobody sends any more, and start as many attempts as there is room for."""
        if self._monotonic() - self._took_over_at >= _POLL:
            await self._take_over()
        limit = self._slots - len(self._sending)
        if limit <= 0:
            return
        now = self._clock()
        claim = DeliveryClaim(
            worker=self._worker,
            webhooks=tuple(webhook.url for webhook in self._policy.webhooks),
            callbacks=self._policy.callbacks is not None,
            limit=limit,
            lease_until=now + _LEASE,
            now=now,
            room=FIRST_ROOM,
            rooms=self._receivers.rooms,
        )
        leasing = asyncio.ensure_future(self._store.lease_deliveries(claim))
        try:
            leased = await asyncio.shield(leasing)
        except asyncio.CancelledError:
            await self._hand_back_late(leasing)
            raise
        for delivery in leased:
            self._begin(delivery)

    async def _hand_back_late(self, leasing: asyncio.Future[list[Delivery]]) -> None:
        """Hand back what was in flight at the drain; an error of the store must not take the cancellation's place."""
        try:
            leased = await leasing
        except Exception as error:  # noqa: BLE001 - nothing was leased, and nobody sends any more
            self._trouble.met(error)
            return
        for delivery in leased:
            await self._hand_back(delivery)

    async def _take_over(self) -> None:
        self._took_over_at = self._monotonic()
        now = self._clock()
        overdue = await self._store.overdue_deliveries(now)
        for worker, leases in overdue.holders.items():
            if worker != self._worker and await in_own_thread(self._liveness.is_dead, worker):
                logger.warning("worker %s is dead; its %d deliveries are sent again", worker, len(leases))
                for each in leases:
                    await self._change(each, partial(delivery_rules.release, run=each.run))
        mine = {Lease(each.id, each.run) for each in self._sending.values()}
        for each in overdue.expired_leases:
            if each not in mine:
                await self._change(each, partial(delivery_rules.expire, run=each.run, now=now))

    async def _change(self, held: Lease, transition: Callable[..., Verdict | None]) -> None:
        try:
            await self._store.change_delivery(held.id, transition)
        except (LeaseLost, KeyError):
            logger.debug("delivery %s has moved on by itself", held.id)

    # --- one attempt --------------------------------------------------------------------------------------------

    def _begin(self, delivery: Delivery) -> None:
        self._receivers.began(delivery.receiver)
        task = asyncio.create_task(self._deliver(delivery), name=f"raincheck-{delivery.id}")
        self._sending[task] = delivery
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        full = len(self._sending) >= self._slots
        del self._sending[task]
        if full:
            self._look.set()
        if not task.cancelled() and task.exception() is not None:
            logger.error("%s ended unexpectedly", task.get_name(), exc_info=task.exception())

    async def _deliver(self, delivery: Delivery) -> None:
        answered: bool | None = None
        try:
            operation = await self._store.get(delivery.operation)
            rules = self._policy.rules_for(delivery.source, delivery.url)
            if not isinstance(operation, Operation) or rules is None:  # deleted meanwhile, and its deliveries with it
                return
            began = self._clock()
            with self._telemetry.tracing.attempting(delivery, operation) as span:
                attempt = await self._attempt(
                    delivery, partial(self._message, delivery, operation, rules, span.context)
                )
                span.ended(attempt)
            self._telemetry.instruments.attempted(attempt)
            answered = attempt.status is not None or (None if attempt.failure not in _SILENCE else False)
            await self._settle(delivery, attempt, began)
        except asyncio.CancelledError:
            await self._hand_back(delivery)
            raise
        except (StoreUnavailable, StorageFull):
            await self._hand_back(delivery)
        finally:
            if self._receivers.ended(delivery.receiver, answered=answered):
                self._look.set()

    def _message(
        self, delivery: Delivery, operation: Operation, rules: Webhook | Callbacks, trace: TraceContext | None
    ) -> Message:
        return Message(
            id=delivery.id,
            url=delivery.url,
            body=webhook_body(delivery, operation, self._links),
            sent_at=self._clock(),
            secrets=rules.secrets,
            allow=rules.allow,
            private_networks=rules.private_networks,
            origin=self._policy.origin_for(delivery.source),
            traceparent="" if trace is None else trace.traceparent,
        )

    async def _attempt(self, delivery: Delivery, made: Callable[[], Message]) -> Attempt:
        began = self._monotonic()
        try:
            return await self._deliverer.send(made())
        except Exception as error:
            # A bug of ours must not be tried again at once and for ever: it takes its turn in the schedule.
            logger.exception("delivery %s could not be attempted", delivery.id)
            latency = timedelta(seconds=self._monotonic() - began)
            return Attempt(latency=latency, failure="unexpected", detail=type(error).__name__)

    async def _settle(self, delivery: Delivery, attempt: Attempt, began: datetime) -> None:
        chance = self._chance()

        def settle(found: Delivery, health: Health) -> Verdict:
            return delivery_rules.settle(
                found,
                health,
                run=delivery.run,
                attempt=attempt,
                began=began,
                now=self._clock(),
                chance=chance,
            )

        while True:
            try:
                verdict = await self._store.change_delivery(delivery.id, settle)
            except (StoreUnavailable, StorageFull) as error:
                self._unwritten.met(error)
                await asyncio.sleep(_PATIENCE)
            except (LeaseLost, KeyError):
                logger.info("delivery %s was taken over or deleted while it was sent", delivery.id)
                return
            else:
                self._unwritten.over()
                self._report(verdict, attempt)
                return

    def _report(self, verdict: Verdict, attempt: Attempt) -> None:
        delivery, health = verdict.delivery, verdict.health
        if delivery.finished_at is not None:
            self._telemetry.instruments.delivery_ended(delivery.status)
        found = attempt.failure if attempt.status is None else f"status {attempt.status}"
        if delivery.status is DeliveryStatus.PENDING:
            self._look_at(delivery.due_at)
            logger.info("delivery %s found %s; it is tried again at %s", delivery.id, found, delivery.due_at)
        elif delivery.status is not DeliveryStatus.DELIVERED:
            logger.warning(
                "delivery %s to %s found %s and is %s", delivery.id, delivery.receiver, found, delivery.status
            )
        if health.disabled and health.disabled_at == health.last_failed_at:
            logger.error(
                "the webhook endpoint at %s is disabled: %s. Repair it, then run `raincheck webhooks enable URL`.",
                delivery.receiver,
                health.reason,
            )

    async def _hand_back(self, delivery: Delivery) -> None:
        try:
            await self._store.change_delivery(delivery.id, partial(delivery_rules.release, run=delivery.run))
        except (LeaseLost, KeyError):
            logger.debug("delivery %s has moved on by itself", delivery.id)
        except (StoreUnavailable, StorageFull) as error:
            logger.warning("delivery %s could not be handed back; it waits for its lease: %s", delivery.id, error)
