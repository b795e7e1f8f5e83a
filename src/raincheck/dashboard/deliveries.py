"""Webhook deliveries as operators see them: with the URL, and what the receiver answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raincheck.core.delivery_wire import delivery_fields

if TYPE_CHECKING:
    from raincheck.core.deliveries import Delivery
    from raincheck.core.wire import Links


def as_item(delivery: Delivery, links: Links) -> dict[str, Any]:
    """Return one delivery: what callers see, and what is kept from them since it tells of the operator's network."""
    fields = delivery_fields(delivery, links)
    for shown, tried in zip(fields["attempts"], delivery.log, strict=True):
        shown["failure"] = tried.attempt.failure
        shown["detail"] = tried.attempt.detail
        shown["excerpt"] = tried.attempt.excerpt
    return {**fields, "url": delivery.url}
