"""Signatures of webhooks: the headers of Standard Webhooks 1.0."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from raincheck.core.errors import ConfigurationError
from raincheck.core.webhook_secrets import signing_keys
from raincheck.webhooks.hosts import MISSING_EXTRA

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class Signer:
    """Signs with one secret or several, newest first: while a receiver changes its secret, either one verifies.

    :raises ConfigurationError: a secret cannot be used, or the extra ``webhooks`` is not installed.
    """

    def __init__(self, secrets: str | Sequence[str]) -> None:
        keys = signing_keys(secrets)
        try:
            from standardwebhooks import Webhook  # noqa: PLC0415 - of the extra, so imported where it is used
        except ImportError as error:
            raise ConfigurationError(MISSING_EXTRA) from error
        self._webhooks = tuple(Webhook(key) for key in keys)

    def headers(self, *, message_id: str, sent_at: datetime, body: bytes) -> dict[str, str]:
        """Return ``webhook-id``, ``webhook-timestamp`` and ``webhook-signature``, which has one part for each secret.

        :param sent_at: an aware moment; receivers refuse what is older than five minutes, so each attempt has its own.
        :raises ValueError: the id holds a dot, which would make the signed text ambiguous, or the body is not UTF-8.
        """
        if "." in message_id or not message_id.isascii() or not message_id.isprintable():
            msg = f"A webhook's id must be printable ASCII without a dot, not {message_id!r}."
            raise ValueError(msg)
        moment = sent_at.astimezone(UTC)  # the library takes any zone's clock for UTC
        text = body.decode("utf-8")
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": " ".join(each.sign(message_id, moment, text) for each in self._webhooks),
        }
