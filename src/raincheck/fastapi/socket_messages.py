"""The messages of the WebSocket, and the codes it is closed with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

LARGEST_MESSAGE = 64 << 10
_LONGEST_ID = 200
_MOST_VERSION = 10**15


class Close(IntEnum):
    """Why the server closes a connection."""

    TOO_LARGE = 1009
    RESTART = 1012
    SLOW_READER = 1013
    BAD_MESSAGE = 4400
    NOT_AUTHORISED = 4401
    ORIGIN = 4403
    SUBPROTOCOL = 4406
    DUPLICATE_ID = 4409
    TOO_MANY = 4429


class Closing(Exception):
    """The connection is to be closed with a code and a reason."""

    def __init__(self, code: Close, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Init:
    """The first message."""

    authorization: str | None


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Follow an operation under an id of the client's own."""

    id: str
    operation: str
    after: int | None


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Follow it no more."""

    id: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel an operation; ``id`` comes back with an error."""

    id: str
    operation: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Answered by ``pong``."""


Message = Init | Subscribe | Unsubscribe | Cancel | Ping


def read_message(text: str) -> Message:
    """Read a client's message.

    :raises Closing: it is too large, not JSON, or not of the protocol.
    """
    if len(text) > LARGEST_MESSAGE or len(text.encode("utf-8", "surrogatepass")) > LARGEST_MESSAGE:
        raise Closing(Close.TOO_LARGE, "a message has at most 64 KiB")
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        raise Closing(Close.BAD_MESSAGE, "the message is not JSON") from None
    if not isinstance(fields, dict):
        raise Closing(Close.BAD_MESSAGE, "the message is not an object")
    match fields.get("type"):
        case "connection_init":
            return Init(_optional_text(fields, "authorization"))
        case "subscribe":
            return Subscribe(_id(fields), _text(fields, "operation"), _after(fields))
        case "unsubscribe":
            return Unsubscribe(_id(fields))
        case "cancel":
            return Cancel(_id(fields), _text(fields, "operation"))
        case "ping":
            return Ping()
        case _:
            raise Closing(Close.BAD_MESSAGE, "the type of the message is unknown")


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise Closing(Close.BAD_MESSAGE, f"{name} must be a string")
    return value


def _optional_text(fields: dict[str, Any], name: str) -> str | None:
    return None if fields.get(name) is None else _text(fields, name)


def _id(fields: dict[str, Any]) -> str:
    value = _text(fields, "id")
    if not 1 <= len(value) <= _LONGEST_ID:
        raise Closing(Close.BAD_MESSAGE, "id must have 1 to 200 characters")
    return value


def _after(fields: dict[str, Any]) -> int | None:
    value = fields.get("after")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_VERSION:
        raise Closing(Close.BAD_MESSAGE, "after must be a version")
    return value
