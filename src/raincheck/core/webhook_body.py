"""The JSON body of a webhook: what happened, when, and the operation as it is at the time of sending."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from raincheck.core.deliveries import Message
from raincheck.core.moments import rfc3339
from raincheck.core.wire import resource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from raincheck.core.deliveries import Delivery
    from raincheck.core.endpoints import Webhook
    from raincheck.core.operation import Operation
    from raincheck.core.wire import Links

LARGEST_BODY = 20_000  # Standard Webhooks asks for 20 kB at most
_TITLE_KEPT = 200


def webhook_body(delivery: Delivery, operation: Operation, links: Links) -> bytes:
    """Return the body as ASCII JSON, 20 kB at most.

    What makes it too large is left out: first the result, which has a link, then other parts, named in ``omitted``.
    """
    head = f'{{"type": "{delivery.event}", "timestamp": "{rfc3339(delivery.created_at)}", '
    body = b""
    for shown, omitted in _ever_smaller(operation):
        note = f'"omitted": {json.dumps(omitted)}, ' if omitted else ""
        body = f'{head}{note}"data": '.encode() + resource(shown, links=links) + b"}"
        if len(body) <= LARGEST_BODY:
            break
    return body


def trial_message(webhook: Webhook, *, message_id: str, now: datetime) -> Message:
    """Return a signed-to-be ``raincheck.test`` that tells of no operation, for an endpoint that is being set up."""
    body = json.dumps({"type": "raincheck.test", "timestamp": rfc3339(now), "data": {}}).encode()
    return Message(
        id=message_id,
        url=webhook.url,
        body=body,
        sent_at=now,
        secrets=webhook.secrets,
        allow=webhook.allow,
        private_networks=webhook.private_networks,
    )


def _ever_smaller(operation: Operation) -> Iterator[tuple[Operation, list[str]]]:
    yield operation, []
    if operation.result is not None:
        operation = replace(operation, result=replace(operation.result, body=None))
        yield operation, []
    omitted = []
    if operation.progress is not None:
        omitted.append("progress")
        operation = replace(operation, progress=None)
        yield operation, omitted
    if operation.error is not None:
        omitted.append("error.detail")
        title = operation.error.title[:_TITLE_KEPT]
        operation = replace(operation, error=replace(operation.error, title=title, detail=None, extensions={}))
        yield operation, omitted
    if operation.metadata:
        omitted.append("metadata")
        yield replace(operation, metadata={}), omitted
