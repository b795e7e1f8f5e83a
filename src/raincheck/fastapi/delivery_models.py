"""The wire models of webhooks and their deliveries."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any

from pydantic import BaseModel, Field, create_model

from raincheck.core.deliveries import DeliveryStatus
from raincheck.core.endpoints import Source, WebhookType
from raincheck.fastapi.models import documented_operation


class OperationDeliveryStatus(StrEnum):
    """Where a delivery stands; `paused` waits until the operator enables its endpoint."""

    PENDING = DeliveryStatus.PENDING.value
    SENDING = DeliveryStatus.SENDING.value
    PAUSED = DeliveryStatus.PAUSED.value
    DELIVERED = DeliveryStatus.DELIVERED.value
    FAILED = DeliveryStatus.FAILED.value


class OperationDeliverySource(StrEnum):
    """Who asked for it: the application's own webhooks, or the caller's `Callback-Url`."""

    WEBHOOK = Source.WEBHOOK.value
    CALLBACK = Source.CALLBACK.value


class OperationEventType(StrEnum):
    """What a webhook tells."""

    SUCCEEDED = WebhookType.SUCCEEDED.value
    FAILED = WebhookType.FAILED.value
    CANCELLED = WebhookType.CANCELLED.value
    STARTED = WebhookType.STARTED.value
    PROGRESS = WebhookType.PROGRESS.value


class OperationDeliveryAttempt(BaseModel):
    """One attempt: the receiver's status, or why there is none."""

    time: datetime
    status_code: int | None = Field(description="what the receiver answered; 2xx delivers")
    failure: str | None = Field(
        description="`unreachable`, `timeout`, `tls`, `refused-url`, `malformed-answer`, `not-agreed`"
    )
    latency_ms: int | None


class OperationDeliveryLinks(BaseModel):
    """What one can do with a delivery."""

    redeliver: str


class OperationDelivery(BaseModel):
    """One webhook of an operation."""

    id: str = Field(description="the `webhook-id`, the same in all attempts")
    type: OperationEventType
    version: int = Field(description="the operation's version at the event")
    source: OperationDeliverySource
    url: str | None = Field(description="the caller's own URL; null for the application's webhooks")
    status: OperationDeliveryStatus
    created_at: datetime
    next_attempt_at: datetime | None
    finished_at: datetime | None
    attempts: list[OperationDeliveryAttempt] = Field(description="the newest ones, oldest first")
    links: OperationDeliveryLinks


class OperationDeliveries(BaseModel):
    """The webhooks of an operation, oldest first."""

    items: list[OperationDelivery]


@cache
def documented_webhook(result: Any) -> type[BaseModel]:
    """Return the model of a webhook's body, such as ``ReportOperationWebhook``."""
    operation = documented_operation(result)
    return create_model(
        f"{operation.__name__}Webhook",
        __module__=operation.__module__,
        __doc__="A webhook: what happened, and the operation as it is when it is sent. Compare `data.version`.",
        type=(OperationEventType, ...),
        timestamp=(datetime, Field(description="when it happened")),
        data=(operation, ...),
        omitted=(
            list[str] | None,
            Field(default=None, description="parts of `data` left out because the body would be over 20 kB"),
        ),
    )
