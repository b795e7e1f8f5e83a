"""Who gets webhooks: what the application configures, and what callers may ask for.

What a URL may be is judged by ``raincheck.webhooks.guard``: as text when it is given, by its addresses at each attempt.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from raincheck.core.errors import ConfigurationError
from raincheck.core.webhook_secrets import signing_keys

if TYPE_CHECKING:
    from collections.abc import Iterable

_PORTS = {"http": 80, "https": 443}


class Source(StrEnum):
    """Who asked for a delivery, which decides the secrets and the rules for its URL."""

    WEBHOOK = "webhook"
    CALLBACK = "callback"


class WebhookType(StrEnum):
    """What a webhook can tell. The first three end an operation and are the default."""

    SUCCEEDED = "operation.succeeded"
    FAILED = "operation.failed"
    CANCELLED = "operation.cancelled"
    STARTED = "operation.started"
    PROGRESS = "operation.progress"


TERMINAL_EVENTS = (WebhookType.SUCCEEDED, WebhookType.FAILED, WebhookType.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An endpoint that hears of every operation.

    :param url: where to POST; https, unless ``private_networks`` is on.
    :param secret: a ``whsec_`` text, or several, newest first, while receivers rotate; each gives a signature.
    :param events: what it hears; the three ends of an operation by default.
    :param private_networks: also call plain http and addresses that are not on the public internet.
    :raises ConfigurationError: a value cannot be used.
    """

    url: str
    secret: str | tuple[str, ...] = field(repr=False)
    events: tuple[str, ...] = TERMINAL_EVENTS
    private_networks: bool = False

    def __post_init__(self) -> None:
        _set(self, secret=_checked_secrets(self.secret), events=_checked_events(self.events))

    @property
    def secrets(self) -> tuple[str, ...]:
        """The signing secrets, newest first."""
        return _several(self.secret)

    @property
    def allow(self) -> tuple[str, ...]:
        """The pattern of the URLs that may be called: this very receiver, whatever its port."""
        return (receiver_of(self.url),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """Lets callers name a URL with ``Callback-Url`` that hears of their operation.

    :param secret: a ``whsec_`` text, or several, newest first; what is sent to callers' URLs is signed with each.
    :param allow: which URLs callers may name: ``https://hooks.example.com``, ``https://*.example.com`` (its
        subdomains), either with a port that is not 443 or 8443, or ``*`` for all.
    :param private_networks: also call plain http and addresses that are not on the public internet.
    :param handshake: ask each URL for its consent before the first webhook, as CloudEvents' HTTP webhooks do.
    :raises ConfigurationError: a value cannot be used.
    """

    secret: str | tuple[str, ...] = field(repr=False)
    allow: tuple[str, ...] = ("*",)
    private_networks: bool = False
    handshake: bool = False

    def __post_init__(self) -> None:
        allow = _several(self.allow)
        if not allow:
            msg = "Callbacks(allow=()) lets no URL through. Name patterns such as 'https://*.example.com', or '*'."
            raise ConfigurationError(msg)
        _set(self, secret=_checked_secrets(self.secret), allow=allow)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The signing secrets, newest first."""
        return _several(self.secret)


@dataclass(frozen=True, slots=True)
class Callback:
    """Where one operation's caller wants to hear of it; kept with the operation."""

    url: str
    events: tuple[str, ...] = TERMINAL_EVENTS


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What stores need to know of a configured webhook: no secret among it."""

    url: str
    events: tuple[str, ...] = TERMINAL_EVENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookPolicy:
    """Everything that the application configures about webhooks.

    :param host: of the public URL; receivers that are asked for their consent learn it.
    """

    webhooks: tuple[Webhook, ...] = ()
    callbacks: Callbacks | None = None
    host: str = ""

    def __post_init__(self) -> None:
        urls = [webhook.url for webhook in self.webhooks]
        twice = next((url for url in urls if urls.count(url) > 1), None)
        if twice is not None:
            msg = f"webhooks=… names {twice!r} twice. Make it one Webhook with the events of both."
            raise ConfigurationError(msg)

    def __bool__(self) -> bool:
        return bool(self.webhooks) or self.callbacks is not None

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The configured endpoints, without their secrets."""
        return tuple(Endpoint(webhook.url, webhook.events) for webhook in self.webhooks)

    def rules_for(self, source: Source, url: str) -> Webhook | Callbacks | None:
        """Return what decides the secrets of a delivery and where it may go; None where this process knows nothing."""
        if source is Source.CALLBACK:
            return self.callbacks
        return next((webhook for webhook in self.webhooks if webhook.url == url), None)

    def origin_for(self, source: Source) -> str:
        """Return the host that asks for consent before such a delivery; empty where none is asked for."""
        asks = source is Source.CALLBACK and self.callbacks is not None and self.callbacks.handshake
        return self.host if asks else ""


def receiver_of(url: str) -> str:
    """Return scheme, host and port of a URL: what is slow or dead together."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}:{parts.port or _PORTS[parts.scheme]}"


# --- what is configured -------------------------------------------------------------------------------------------


def _several(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _set(owner: object, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(owner, name, value)


def _checked_secrets(secret: str | Iterable[str]) -> tuple[str, ...]:
    secrets = _several(secret)
    signing_keys(secrets)
    return secrets


def _checked_events(events: str | Iterable[str]) -> tuple[WebhookType, ...]:
    found = read_events(_several(events))
    if found is None:
        msg = f"Webhook(events={events!r}) must name some of {', '.join(WebhookType)}."
        raise ConfigurationError(msg)
    return found


def read_events(names: Iterable[str]) -> tuple[WebhookType, ...] | None:
    """Return the events of these names, each once; None where one is unknown or there is none."""
    try:
        found = dict.fromkeys(WebhookType(name) for name in names)
    except ValueError:
        return None
    return tuple(found) or None
