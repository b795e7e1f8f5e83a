"""Ids: a prefix and 32 Crockford base32 characters, sortable by time; those of operations are unguessable."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(a + b for a in _ALPHABET for b in _ALPHABET)
_SHAPE = re.compile(rf"op_[{_ALPHABET}]{{32}}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RANDOM_BYTES = 14
TAIL = 23
_LETTERS = bytes(ord(_ALPHABET[byte & 31]) for byte in range(256))
# The tenth character has the last three bits of the time and two random ones.
_TENTH = tuple(
    {letter: _ALPHABET[bits << 2 | number & 3] for number, letter in enumerate(_ALPHABET)} for bits in range(8)
)


def operation_id(*, milliseconds: int, entropy: bytes) -> str:
    """Return the id for a moment and 14 random bytes.

    :param milliseconds: milliseconds since 1970, the first 48 bits; ids sort by it.
    :param entropy: 14 bytes (112 bits) from a cryptographic source.
    """
    number = (milliseconds << 112) | int.from_bytes(entropy, "big")
    pairs = _PAIRS
    return "op_" + "".join([pairs[(number >> shift) & 1023] for shift in range(150, -1, -10)])


def random_letters(entropy: bytes) -> str:
    """Return a character for each byte, with five of its bits."""
    return entropy.translate(_LETTERS).decode()


def time_ordered_id(milliseconds: int, tail: str) -> str:
    """Return what ``operation_id`` returns, in a third of the time, from characters in the place of bytes.

    :param tail: 23 random characters, of the first of which two bits count; that makes 112.
    """
    return f"op_{_first_nine(milliseconds >> 3)}{_TENTH[milliseconds & 7][tail[0]]}{tail[1:]}"


@lru_cache(maxsize=16)
def _first_nine(eight_milliseconds: int) -> str:
    return "".join([_ALPHABET[(eight_milliseconds >> shift) & 31] for shift in range(40, -1, -5)])


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
