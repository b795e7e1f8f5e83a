"""Secrets that webhooks are signed and verified with (Standard Webhooks 1.0): ``whsec_`` and base64."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from raincheck.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64
_REMEDY = 'Make one with: echo "whsec_$(openssl rand -base64 32)"'


def signing_keys(secrets: str | Sequence[str]) -> tuple[bytes, ...]:
    """Return the keys of one secret or several, newest first. No message shows a part of a secret.

    :raises ConfigurationError: there is none, or one is not ``whsec_`` and the base64 of 24 to 64 bytes.
    """
    texts = (secrets,) if isinstance(secrets, str) else tuple(secrets or ())  # None where a variable is not set
    if not texts:
        msg = f"Webhooks need a secret, and there is none. {_REMEDY}"
        raise ConfigurationError(msg)
    return tuple(_key(text) for text in texts)


def _key(secret: object) -> bytes:
    if not isinstance(secret, str) or not secret.startswith(PREFIX):
        msg = f"A webhook secret must be a text that begins with {PREFIX!r}. {_REMEDY}"
        raise ConfigurationError(msg)
    try:
        # Libraries differ about what is not plain base64, and would sign with different keys.
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        msg = f"What follows {PREFIX!r} in a webhook secret must be base64 with its padding. {_REMEDY}"
        raise ConfigurationError(msg) from None
    if not _SHORTEST <= len(key) <= _LONGEST:
        msg = (
            f"A webhook secret must hold {_SHORTEST} to {_LONGEST} bytes after {PREFIX!r}; this one holds {len(key)}. "
            f"{_REMEDY}"
        )
        raise ConfigurationError(msg)
    return key
