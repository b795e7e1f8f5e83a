"""What programs on the other side of the wire use; each name is imported when it is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raincheck.client.verify import WebhookEvent, WebhookRefused, verify_webhook

__all__ = ["WebhookEvent", "WebhookRefused", "verify_webhook"]

_HOMES = {
    "WebhookEvent": "raincheck.client.verify",
    "WebhookRefused": "raincheck.client.verify",
    "verify_webhook": "raincheck.client.verify",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(home), name)
