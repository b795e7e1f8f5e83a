"""Patterns of the URLs that an application allows: ``*``, ``https://host``, ``https://*.example.com``, with a port."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from raincheck.core.errors import ConfigurationError
from raincheck.webhooks.hosts import canonical_host, literal_address

if TYPE_CHECKING:
    from collections.abc import Sequence

LAST_PORT = 65535
_FORM = re.compile(r"(https?)://(\*\.)?([^/?#@:*\[\]]+|\[[^\]]+\]|\*)(?::([0-9]{1,5}))?/?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A read pattern; what is None or empty allows all.

    :param name: the host itself, and with ``below`` only names that end in a dot and it.
    """

    scheme: str | None = None
    name: str = ""
    below: bool = False
    port: int | None = None

    def matches(self, *, scheme: str, host: str, port: int) -> bool:
        """Tell whether it allows a URL of these parts."""
        if self.scheme not in (None, scheme) or self.port not in (None, port):
            return False
        if self.below:
            return host.endswith(f".{self.name}")
        return self.name in ("", host)


def check_patterns(allow: Sequence[str]) -> None:
    """Check patterns where they are configured.

    :raises ConfigurationError: one of them cannot be read; the message shows the forms.
    """
    for text in allow:
        parsed_pattern(text)


@lru_cache(maxsize=256)
def parsed_pattern(text: str) -> Pattern:
    """Read a pattern.

    :raises ConfigurationError: it has another form.
    """
    if text == "*":
        return Pattern()
    try:
        return _read(text)
    except ValueError as error:
        msg = (
            f"allow={text!r} cannot be used: {error}. Write 'https://hooks.example.com', 'https://*.example.com', with "
            "a port 'https://hooks.example.com:9443', or '*' for every URL."
        )
        raise ConfigurationError(msg) from None


def _read(text: str) -> Pattern:
    match = _FORM.fullmatch(text)
    if match is None:
        msg = "it is not a scheme, a host and perhaps a port"
        raise ValueError(msg)
    scheme, below, host, digits = match.groups()
    port = None if digits is None else int(digits)
    if port is not None and not 1 <= port <= LAST_PORT:
        msg = f"port {port} does not exist"
        raise ValueError(msg)
    if host == "*":
        if below:
            msg = "one * is enough"
            raise ValueError(msg)
        return Pattern(scheme=scheme, port=port)
    name = canonical_host(host)
    if below and literal_address(name) is not None:
        msg = "an address has no names below it"
        raise ValueError(msg)
    return Pattern(scheme=scheme, name=name, below=below is not None, port=port)
