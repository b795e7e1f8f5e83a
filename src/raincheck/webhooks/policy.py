"""What the application configures about webhooks, checked as a whole when it is constructed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from raincheck.core.endpoints import Callbacks, Webhook, WebhookPolicy
from raincheck.core.errors import ConfigurationError
from raincheck.webhooks.guard import UrlRefused, judge_url
from raincheck.webhooks.patterns import check_patterns

if TYPE_CHECKING:
    from collections.abc import Sequence

# The extra `webhooks` in pyproject.toml.
_NEEDED = ("httpcore2", "idna", "standardwebhooks")


def checked_policy(*, callbacks: Callbacks | None, webhooks: Sequence[Webhook], public_url: str) -> WebhookPolicy:
    """Return the policy.

    :raises ConfigurationError: a package, the public URL or a usable value is missing; the message says which.
    """
    if public_url:
        _check_public_url(public_url)
    host = urlsplit(public_url).hostname or ""
    policy = WebhookPolicy(webhooks=tuple(webhooks), callbacks=callbacks, host=host)
    if not policy:
        return policy
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        msg = f"Webhooks need {' and '.join(missing)}. Install them with: pip install 'raincheck[webhooks]'"
        raise ConfigurationError(msg)
    if not public_url:
        msg = (
            "Webhooks carry absolute links, so Raincheck(public_url=…) is needed with callbacks= and webhooks=: the "
            "URL under which clients reach this application, such as 'https://api.example.com'."
        )
        raise ConfigurationError(msg)
    if callbacks is not None:
        check_patterns(callbacks.allow)
    for webhook in policy.webhooks:
        try:
            judge_url(webhook.url, allow=_allowed(webhook), private_networks=webhook.private_networks)
        except UrlRefused as refused:
            msg = f"Webhook(url=…) for {_place(webhook.url)}: {refused}"
            raise ConfigurationError(msg) from None
    return policy


def _check_public_url(url: str) -> None:
    parts = urlsplit(url)
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        msg = (
            f"public_url={url!r} must be the http(s) URL under which clients reach this application, with the path "
            "that a proxy strips if there is one, such as 'https://api.example.com' or 'https://example.com/api'."
        )
        raise ConfigurationError(msg)


def _allowed(webhook: Webhook) -> tuple[str, ...]:
    """Return the pattern of the webhook's own URL; of a malformed one any, and the judge says what is wrong."""
    try:
        check_patterns(webhook.allow)
    except (ValueError, KeyError, ConfigurationError):
        return ("*",)
    return webhook.allow


def _place(url: str) -> str:
    """Return the host of a URL, whose path may hold a token."""
    return urlsplit(url).hostname or "a URL without a host"
