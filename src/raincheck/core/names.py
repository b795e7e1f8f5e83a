"""Operation ids: ``op_`` and 32 Crockford base32 characters, sortable by time and unguessable."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

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


def is_operation_id(text: str) -> bool:
    """Tell whether a text has the shape of an operation id."""
    return _SHAPE.fullmatch(text) is not None


def first_id_at(moment: datetime) -> str:
    """Return the smallest id of a moment; ids made before it sort below."""
    milliseconds = max(0, (moment - _EPOCH) // timedelta(milliseconds=1))
    return operation_id(milliseconds=milliseconds, entropy=bytes(RANDOM_BYTES))
