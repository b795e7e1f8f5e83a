"""What makes two requests the same request, for ``Idempotency-Key``."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import rfc8785


@dataclass(frozen=True, slots=True, kw_only=True)
class FormEntry:
    """One form field; ``sha256`` and ``filename`` are set for files, ``text`` for others."""

    name: str
    text: str | None = None
    filename: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContent:
    """What a client asked for. ``body`` and ``form`` exclude each other.

    :param query: the query string as it came.
    :param json_body: whether the body was read as JSON.
    """

    path: str
    query: bytes = b""
    body: bytes = b""
    json_body: bool = False
    form: tuple[FormEntry, ...] | None = None


def fingerprint(content: RequestContent) -> str:
    """Return the SHA-256, in hex, of path, query and body.

    JSON counts by its value (RFC 8785), a form by its fields in order with each file's SHA-256, all else by its bytes.
    """
    if content.form is not None:
        fields = [[entry.name, entry.text, entry.filename, entry.sha256] for entry in content.form]
        parts = [b"form", json.dumps(fields).encode()]
    elif content.json_body:
        parts = [b"json", _canonical(content.body)]
    else:
        parts = [b"bytes", content.body]
    digest = hashlib.sha256()
    for part in (content.path.encode(errors="surrogatepass"), content.query, *parts):
        # With its length before it, no part can pass for the beginning of the next.
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def _canonical(body: bytes) -> bytes:
    value = json.loads(body)
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeError):  # integers beyond 2**53, NaN, half a surrogate pair
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
