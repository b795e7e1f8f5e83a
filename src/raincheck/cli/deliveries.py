"""``raincheck webhooks``: the operator's side of deliveries; what receivers said is shown here and nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from raincheck.cli.ending import UsageError
from raincheck.cli.formats import counted, local, printable
from raincheck.cli.loading import load
from raincheck.cli.view import opened_view, store_location
from raincheck.core import delivery_rules
from raincheck.core.deliveries import Attempt, Delivery, DeliveryStatus, Health
from raincheck.core.delivery_rules import Verdict
from raincheck.core.errors import DeliveryNotFound, OperatorError
from raincheck.core.moments import rfc3339
from raincheck.core.webhook_body import trial_message
from raincheck.locations import PostgresDatabase
from raincheck.ports import DeliveryQuery, DeliveryStore
from raincheck.storage import open_storage
from raincheck.webhooks.deliver import HttpDeliverer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from raincheck.core.deliveries import Message
    from raincheck.core.endpoints import Webhook

T = TypeVar("T")
_PAGE = 500


# --- looking ----------------------------------------------------------------------------------------------------


def print_deliveries(store: str | None, *, statuses: str | None, url: str | None, limit: int, as_json: bool) -> None:
    """Print the delivery log, newest first.

    :raises UsageError: an unknown status or store.
    :raises StoreError: the store cannot be read.
    """
    for delivery in _pages(store, _statuses(statuses), url, limit):
        print(json.dumps(_fields(delivery)) if as_json else _line(delivery))


def print_endpoints(store: str | None, *, as_json: bool) -> None:
    """Print every URL that failed last, and whether it is disabled."""
    with opened_view(store) as view:
        found = view.unhealthy_endpoints()
    for health in found:
        print(json.dumps(_health_fields(health)) if as_json else _health_line(health))
    if not found and not as_json:
        print("No endpoint has failed since its last success.")


def _statuses(text: str | None) -> tuple[DeliveryStatus, ...]:
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    try:
        return tuple(DeliveryStatus(name) for name in names)
    except ValueError as error:
        known = ", ".join(DeliveryStatus)
        msg = f"--status {text!r} names an unknown status. Known are {known}; separate several with commas."
        raise UsageError(msg) from error


def _pages(store: str | None, statuses: tuple[DeliveryStatus, ...], url: str | None, limit: int) -> Iterator[Delivery]:
    before: str | None = None
    with opened_view(store) as view:
        while limit > 0:
            query = DeliveryQuery(statuses=statuses, url=url, before_id=before, limit=min(limit, _PAGE))
            page = view.list_deliveries(query)
            yield from page
            if len(page) < query.limit:
                return
            limit -= len(page)
            before = page[-1].id


def _line(delivery: Delivery) -> str:
    head = f"{delivery.id}  {delivery.status:<9}  {delivery.event:<19}  {delivery.operation}  {printable(delivery.url)}"
    if delivery.status is DeliveryStatus.PENDING:
        head += f"  next {local(delivery.due_at)}"
    if not delivery.log:
        return head
    return f"{head}\n    {counted(len(delivery.log), 'attempt')}, last: {_outcome(delivery.log[-1].attempt)}"


def _outcome(attempt: Attempt) -> str:
    """Return what an attempt found, in one line; what a receiver wrote cannot steer the terminal."""
    found = attempt.failure if attempt.status is None else f"status {attempt.status}"
    parts = [f"{found} in {attempt.latency.total_seconds() * 1000:.0f} ms", attempt.detail, attempt.excerpt]
    return printable(": ".join(part for part in parts if part))


def _health_line(health: Health) -> str:
    state = f"disabled since {local(health.disabled_at)}: {health.reason}" if health.disabled else "failing"
    return f"{printable(health.url)}  {state}, failing since {local(health.failing_since)}"


def _fields(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "operation": delivery.operation,
        "type": str(delivery.event),
        "version": delivery.version,
        "source": delivery.source.value,
        "url": delivery.url,
        "status": delivery.status.value,
        "created_at": rfc3339(delivery.created_at),
        "due_at": rfc3339(delivery.due_at),
        "finished_at": None if delivery.finished_at is None else rfc3339(delivery.finished_at),
        "worker": delivery.worker,
        "attempts": [{"time": rfc3339(tried.at), **_attempt_fields(tried.attempt)} for tried in delivery.log],
    }


def _attempt_fields(attempt: Attempt) -> dict[str, Any]:
    return {
        "status_code": attempt.status,
        "failure": attempt.failure,
        "latency_ms": round(attempt.latency.total_seconds() * 1000, 1),
        "detail": attempt.detail,
        "excerpt": attempt.excerpt,
    }


def _health_fields(health: Health) -> dict[str, Any]:
    moments = {
        "failing_since": health.failing_since,
        "last_failed_at": health.last_failed_at,
        "disabled_at": health.disabled_at,
    }
    shown = {name: None if moment is None else rfc3339(moment) for name, moment in moments.items()}
    return {"url": health.url, **shown, "reason": health.reason}


# --- changing ---------------------------------------------------------------------------------------------------


def send_again(delivery_id: str, store: str | None, *, as_json: bool = False) -> None:
    """Make a delivery due now; the couriers of running workers see it at once.

    :raises DeliveryNotFound: the store has no such delivery.
    """

    def again(delivery: Delivery, health: Health) -> Verdict:
        return Verdict(delivery_rules.redeliver(delivery, now=datetime.now(UTC)), health)

    try:
        verdict = _written(store, lambda opened: opened.change_delivery(delivery_id, again))
    except KeyError:
        msg = f"There is no delivery {printable(delivery_id)!r}. `raincheck webhooks ls` lists what is there."
        raise DeliveryNotFound(msg) from None
    print(json.dumps(_fields(verdict.delivery)) if as_json else f"{delivery_id} is {verdict.delivery.status}.")


def enable_endpoint(url: str, store: str | None, *, as_json: bool = False) -> None:
    """Enable a disabled endpoint; what was paused is sent.

    :raises UsageError: it is not disabled.
    """
    was_disabled = []

    def enabled(health: Health) -> Health:
        was_disabled.append(health.disabled)
        return Health(url=health.url) if health.disabled else health

    health = _written(store, lambda opened: opened.change_endpoint(url, enabled))
    if not was_disabled[-1]:
        msg = f"{printable(url)} is not disabled. `raincheck webhooks endpoints` lists those that are."
        raise UsageError(msg)
    said = f"{printable(url)} is enabled; what was paused is sent."
    print(json.dumps(_health_fields(health)) if as_json else said)


def _written(store: str | None, change: Callable[[DeliveryStore], Awaitable[T]]) -> T:
    with opened_view(store):  # refuses a store that is not there, another program's, or of another release
        pass

    async def opened() -> T:
        location = store_location(store)
        async with contextlib.AsyncExitStack() as stack:
            storage = await open_storage(location, stack)
            result = await change(storage.store)
            if isinstance(location, PostgresDatabase):
                await storage.store.notify()
            return result

    return asyncio.run(opened())


# --- trying -----------------------------------------------------------------------------------------------------


class TestSendFailed(OperatorError):
    """The receiver did not take the test webhook."""

    code = "test-send-failed"


def send_tests(target: str, url: str | None, *, as_json: bool = False) -> None:
    """Send ``raincheck.test`` to one configured webhook, or to all, once, and print what each answered.

    :raises UsageError: the application has no such webhook.
    :raises TestSendFailed: one of them did not answer with 2xx.
    """
    chosen = [each for each in load(target).webhook_policy.webhooks if url in (None, each.url)]
    if not chosen:
        which = "" if url is None else f" with the URL {printable(url)}"
        msg = f"{target} has no webhook{which}. Configure Raincheck(webhooks=…), or name one of its URLs."
        raise UsageError(msg)
    found = asyncio.run(_sent(chosen))
    for webhook, attempt in zip(chosen, found, strict=True):
        line = f"{printable(webhook.url)}  {_outcome(attempt)}"
        print(json.dumps({"url": webhook.url, **_attempt_fields(attempt)}) if as_json else line)
    if not all(attempt.succeeded for attempt in found):
        msg = "Not every receiver answered with 2xx. Its log says more; a wrong secret shows there as a bad signature."
        raise TestSendFailed(msg)


async def _sent(webhooks: list[Webhook]) -> list[Attempt]:
    deliverer = HttpDeliverer()
    await deliverer.start()
    try:
        return [await deliverer.send(_trial(webhook)) for webhook in webhooks]
    finally:
        await deliverer.stop()


def _trial(webhook: Webhook) -> Message:
    return trial_message(webhook, message_id=f"msg_test_{secrets.token_hex(12)}", now=datetime.now(UTC))
