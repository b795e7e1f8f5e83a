"""Verify webhooks at the receiver: Standard Webhooks 1.0, with the standard library alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from raincheck.core.errors import RaincheckError
from raincheck.core.webhook_secrets import signing_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOLERANCE = timedelta(minutes=5)
_ID, _TIMESTAMP, _SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
_SECONDS = re.compile(r"[0-9]{1,11}")


class WebhookRefused(RaincheckError):
    """A request that is no webhook of the sender; answer it with 400 and do nothing. ``code`` is stable."""

    code: ClassVar[str] = "webhook-refused"


class WebhookHeadersMissing(WebhookRefused):
    """``webhook-id``, ``webhook-timestamp`` or ``webhook-signature`` is not there."""

    code = "headers-missing"


class WebhookHeadersMalformed(WebhookRefused):
    """One of the headers came twice or cannot be read."""

    code = "headers-malformed"


class WebhookTooOld(WebhookRefused):
    """It was sent longer ago than the tolerance: a replay, or a clock that is wrong."""

    code = "too-old"


class WebhookTooNew(WebhookRefused):
    """It claims a moment further ahead than the tolerance: a clock is wrong."""

    code = "too-new"


class WebhookSignatureMismatch(WebhookRefused):
    """No signature fits: another secret, or the body, the id or the time was changed on the way."""

    code = "signature-mismatch"


class WebhookBodyMalformed(WebhookRefused):
    """The signature is right, but the body is no event."""

    code = "body-malformed"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEvent:
    """A verified webhook.

    Webhooks come at least once and in any order: remember ``id`` to handle each once, and take only what has a higher
    ``data["version"]`` than what you know of the operation.

    :param id: the ``webhook-id``, the same each time that it is sent.
    :param type: such as ``operation.succeeded``.
    :param timestamp: when the event happened.
    :param sent_at: when this attempt was made.
    :param data: the operation, as its status URL shows it.
    """

    id: str
    type: str
    timestamp: datetime
    sent_at: datetime
    data: dict[str, Any]


def verify_webhook(
    body: bytes | str,
    headers: Mapping[str, str],
    secrets: str | Sequence[str],
    *,
    tolerance: timedelta = TOLERANCE,
    now: datetime | None = None,
) -> WebhookEvent:
    """Return the event of a webhook whose signature fits one of the secrets.

    :param body: the body exactly as it came; parsing and writing it again changes it.
    :param headers: of the request, in any case.
    :param secrets: ``whsec_…``, or several while the secret is being changed.
    :param tolerance: how far the sender's clock may be off, in both directions.
    :param now: the moment to compare with, for tests; an aware datetime.
    :raises WebhookRefused: one of its subclasses says why, ``code`` as a stable text.
    :raises ConfigurationError: a secret cannot be used.
    """
    keys = signing_keys(secrets)
    raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)
    message_id, seconds, signatures = _headers(headers)
    _check_signature(f"{message_id}.{seconds}.".encode() + raw, signatures, keys)
    sent_at = datetime.fromtimestamp(int(seconds), UTC)
    # After the signature, so that only the true sender learns what this clock says.
    _check_moment(sent_at, now=now or datetime.now(UTC), tolerance=tolerance)
    return _event(raw, message_id=message_id, sent_at=sent_at)


def _headers(headers: Mapping[str, str]) -> tuple[str, str, str]:
    found: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        if lower in (_ID, _TIMESTAMP, _SIGNATURE):
            if lower in found:
                msg = f"The header {lower} came twice."
                raise WebhookHeadersMalformed(msg)
            found[lower] = value
    missing = [name for name in (_ID, _TIMESTAMP, _SIGNATURE) if not found.get(name)]
    if missing:
        msg = f"The request has no {', '.join(missing)}, so it is no webhook."
        raise WebhookHeadersMissing(msg)
    if not _SECONDS.fullmatch(found[_TIMESTAMP]):
        msg = "The header webhook-timestamp must be whole seconds since 1970."
        raise WebhookHeadersMalformed(msg)
    if "." in found[_ID] or not found[_ID].isascii() or not found[_ID].isprintable():
        # The dot separates the parts of the signed text; one in the id would let another time pass.
        msg = "The header webhook-id must be printable ASCII without a dot."
        raise WebhookHeadersMalformed(msg)
    return found[_ID], found[_TIMESTAMP], found[_SIGNATURE]


def _check_signature(signed: bytes, header: str, keys: Sequence[bytes]) -> None:
    expected = [b"v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)) for key in keys]
    given = [each.encode("utf-8", "surrogatepass") for each in header.split(" ")]
    # Every pair is compared in constant time, so the time tells nothing about how much of one was right.
    if not any([hmac.compare_digest(ours, theirs) for ours in expected for theirs in given]):  # noqa: C419 - all of them
        msg = "No signature fits: the secret is another one, or the body is not exactly what was sent."
        raise WebhookSignatureMismatch(msg)


def _check_moment(sent_at: datetime, *, now: datetime, tolerance: timedelta) -> None:
    if sent_at < now - tolerance:
        msg = f"The webhook was sent more than {tolerance} ago."
        raise WebhookTooOld(msg)
    if sent_at > now + tolerance:
        msg = f"The webhook claims to be sent more than {tolerance} from now; a clock is wrong."
        raise WebhookTooNew(msg)


def _event(raw: bytes, *, message_id: str, sent_at: datetime) -> WebhookEvent:
    try:
        content = json.loads(raw)
        kind, timestamp, data = content["type"], datetime.fromisoformat(content["timestamp"]), content["data"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        msg = "The body is not the JSON of an event with type, timestamp and data."
        raise WebhookBodyMalformed(msg) from error
    if not isinstance(kind, str) or not isinstance(data, dict) or timestamp.tzinfo is None:
        msg = "The event's type must be text, its timestamp must have a zone, and its data must be an object."
        raise WebhookBodyMalformed(msg)
    return WebhookEvent(id=message_id, type=kind, timestamp=timestamp, sent_at=sent_at, data=data)
