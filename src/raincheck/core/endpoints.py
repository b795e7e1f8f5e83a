"""Who gets webhooks: what the application configures, what callers may ask for, and what a URL may be."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from raincheck.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

_SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix that Standard Webhooks gives every secret
_SHORTEST_SECRET, _LONGEST_SECRET = 24, 64
_LONGEST_URL = 2048
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?\.?|\[[0-9a-f:.]+\]")
_PATTERN_HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
_BEGINNING = ("must begin with https://", "must begin with https:// or http://")
_PORTS = {"http": 80, "https": 443}


class Source(StrEnum):
    """Who asked for a delivery, which decides the secrets and the rules for its URL."""

    WEBHOOK = "webhook"
    CALLBACK = "callback"


class WebhookEvent(StrEnum):
    """What a webhook can tell. The first three end an operation and are the default."""

    SUCCEEDED = "operation.succeeded"
    FAILED = "operation.failed"
    CANCELLED = "operation.cancelled"
    STARTED = "operation.started"
    PROGRESS = "operation.progress"


TERMINAL_EVENTS = (WebhookEvent.SUCCEEDED, WebhookEvent.FAILED, WebhookEvent.CANCELLED)


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
        fault = url_fault(self.url, plain_http=self.private_networks)
        if fault is not None:
            msg = f"Webhook(url={self.url!r}): the URL {fault}."
            raise ConfigurationError(msg)
        _set(self, secret=_checked_secrets("Webhook", self.secret), events=_checked_events(self.events))

    @property
    def secrets(self) -> tuple[str, ...]:
        """The signing secrets, newest first."""
        return _several(self.secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """Lets callers name a URL with ``Callback-Url`` that hears of their operation.

    :param secret: a ``whsec_`` text, or several, newest first; what is sent to callers' URLs is signed with each.
    :param allow: which URLs callers may name: ``https://hooks.example.com``, ``https://*.example.com`` (its
        subdomains), either with a path to begin with, or ``*`` for all.
    :param private_networks: also call plain http and addresses that are not on the public internet.
    :raises ConfigurationError: a value cannot be used.
    """

    secret: str | tuple[str, ...] = field(repr=False)
    allow: tuple[str, ...] = ("*",)
    private_networks: bool = False

    def __post_init__(self) -> None:
        allow = _several(self.allow)
        if not allow:
            msg = "Callbacks(allow=()) lets no URL through. Name patterns such as 'https://*.example.com', or '*'."
            raise ConfigurationError(msg)
        for pattern in allow:
            _check_pattern(pattern, plain_http=self.private_networks)
        _set(self, secret=_checked_secrets("Callbacks", self.secret), allow=allow)

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
    """Everything that the application configures about webhooks."""

    webhooks: tuple[Webhook, ...] = ()
    callbacks: Callbacks | None = None

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


# --- URLs -------------------------------------------------------------------------------------------------------


def url_fault(url: str, *, plain_http: bool) -> str | None:
    """Return what makes a text no URL to call, as the end of a sentence; None where nothing does.

    Judges the text alone: where the name leads is judged at each attempt.
    """
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return "must be printable ASCII without spaces and backslashes; encode other characters"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "cannot be read"
    schemes = {"https", "http"} if plain_http else {"https"}
    faults = (
        (len(url) > _LONGEST_URL, f"has more than {_LONGEST_URL} characters"),
        (parts.scheme not in schemes, _BEGINNING[plain_http]),
        ("@" in parts.netloc, "must not carry a user name or password"),
        ("#" in url, "must not have a fragment"),
        (port == 0 or not _HOST.fullmatch(_host(parts)), "must name a host"),
    )
    return next((fault for found, fault in faults if found), None)


def matches(url: str, patterns: Iterable[str]) -> bool:
    """Tell whether one of the patterns allows a URL that has no fault."""
    return any(pattern == "*" or _matches(urlsplit(url), pattern) for pattern in patterns)


def receiver_of(url: str) -> str:
    """Return scheme, host and port of a URL: what fails or is slow together."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{_host(parts).rstrip('.')}:{parts.port or _PORTS[parts.scheme]}"


def _matches(url: SplitResult, pattern: str) -> bool:
    wanted = urlsplit(pattern)
    if url.scheme != wanted.scheme or _port(url) != _port(wanted):
        return False
    host, allowed = _host(url).rstrip("."), _host(wanted)
    if allowed.startswith("*."):
        if not host.endswith(allowed[1:]) or host == allowed[1:]:
            return False
    elif host != allowed:
        return False
    path = wanted.path.rstrip("/")
    # Dot segments could climb out of the path that is allowed, also when a server decodes them first.
    if path and re.search(r"(^|/)(\.|%2e){1,2}(/|$)", url.path, re.IGNORECASE):
        return False
    return not path or url.path == path or url.path.startswith(f"{path}/")


def _check_pattern(pattern: str, *, plain_http: bool) -> None:
    if pattern == "*":
        return
    problem = None
    try:
        parts = urlsplit(pattern)
        port = parts.port
    except ValueError:
        problem = "cannot be read"
    else:
        if parts.scheme not in ({"https", "http"} if plain_http else {"https"}):
            problem = _BEGINNING[plain_http]
        elif "@" in parts.netloc or parts.query or parts.fragment or "*" in parts.path:
            problem = "may only have a scheme, a host, a port and the beginning of a path"
        elif not _PATTERN_HOST.fullmatch(_host(parts)) or port == 0:
            problem = "must name a host, or '*.' and a domain"
    if problem is not None:
        msg = f"Callbacks(allow=…): {pattern!r} {problem}. Write patterns such as 'https://*.example.com', or '*'."
        raise ConfigurationError(msg)


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    return f"[{host}]" if ":" in host else host


def _port(parts: SplitResult) -> int | None:
    return parts.port or _PORTS.get(parts.scheme)


# --- what is configured -------------------------------------------------------------------------------------------


def _several(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _set(owner: object, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(owner, name, value)


def _checked_secrets(name: str, secret: str | Iterable[str]) -> tuple[str, ...]:
    """Return the secrets; no message repeats one."""
    secrets = _several(secret)
    for each in secrets:
        if not _usable_secret(each):
            msg = (
                f"{name}(secret=…) must be 'whsec_' and the base64 of {_SHORTEST_SECRET} to {_LONGEST_SECRET} random "
                'bytes. Make one with: python -c "import base64, secrets; '
                "print('whsec_' + base64.b64encode(secrets.token_bytes(32)).decode())\""
            )
            raise ConfigurationError(msg)
    if not secrets:
        msg = f"{name}(secret=()) signs nothing. Pass one secret, or several while receivers rotate."
        raise ConfigurationError(msg)
    return secrets


def _usable_secret(secret: str) -> bool:
    try:
        key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError, AttributeError):
        return False
    return secret.startswith(_SECRET_PREFIX) and _SHORTEST_SECRET <= len(key) <= _LONGEST_SECRET


def _checked_events(events: str | Iterable[str]) -> tuple[WebhookEvent, ...]:
    found = read_events(_several(events))
    if found is None:
        msg = f"Webhook(events={events!r}) must name some of {', '.join(WebhookEvent)}."
        raise ConfigurationError(msg)
    return found


def read_events(names: Iterable[str]) -> tuple[WebhookEvent, ...] | None:
    """Return the events of these names, each once; None where one is unknown or there is none."""
    try:
        found = dict.fromkeys(WebhookEvent(name) for name in names)
    except ValueError:
        return None
    return tuple(found) or None
