"""Ids: a prefix and 32 Crockford base32 characters, sortable by time; those of operations are unguessable."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(a + b for a in _ALPHABET for b in _ALPHABET)
_SHAPE = re.compile(rf"op_[{_ALPHABET}]{{32}}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RANDOM_BYTES = 14


def operation_id(*, milliseconds: int, entropy: bytes) -> str:
    """Return the id for a moment and 14 random bytes.

    :param milliseconds: milliseconds since 1970, the first 48 bits; ids sort by it.
    :param entropy: 14 bytes (112 bits) from a cryptographic source.
    """
    number = (milliseconds << 112) | int.from_bytes(entropy, "big")
    pairs = _PAIRS
    return "op_" + "".join([pairs[(number >> shift) & 1023] for shift in range(150, -1, -10)])


def delivery_id(*, milliseconds: int, about: tuple[object, ...]) -> str:
    """Return the id of a webhook delivery, which is its ``webhook-id``: the same for the same facts.

    :param milliseconds: milliseconds since 1970 at the event; ids sort by it.
    :param about: what is delivered where; its digest makes the rest of the id.
    """
    digest = sha256(repr(about).encode()).digest()
    return "msg_" + operation_id(milliseconds=milliseconds, entropy=digest[:RANDOM_BYTES])[3:]


def is_operation_id(text: str) -> bool:
    """Tell whether a text has the shape of an operation id."""
    return _SHAPE.fullmatch(text) is not None


def is_delivery_id(text: str) -> bool:
    """Tell whether a text has the shape of a delivery id."""
    return text.startswith("msg_") and _SHAPE.fullmatch("op_" + text[4:]) is not None


def first_id_at(moment: datetime) -> str:
    """Return the smallest id of a moment; ids made before it sort below."""
    milliseconds = max(0, (moment - _EPOCH) // timedelta(milliseconds=1))
    return operation_id(milliseconds=milliseconds, entropy=bytes(RANDOM_BYTES))
