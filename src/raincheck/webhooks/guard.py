"""Where webhooks may go: the URL is judged when it is given, its addresses before each attempt.

:func:`judge_url` reads text only, so it can run at the submit. :func:`judge_addresses` looks at what a name resolved to
at this moment; the caller must then connect to one of exactly these addresses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from raincheck.core.errors import RaincheckError
from raincheck.webhooks.addresses import refusal
from raincheck.webhooks.hosts import canonical_host, literal_address
from raincheck.webhooks.patterns import LAST_PORT, parsed_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from raincheck.webhooks.addresses import Address

PUBLIC_PORTS = frozenset({443, 8443})
_PRIVATE_PORTS = frozenset({80, 443})
_FIRST_UNPRIVILEGED_PORT = 1024
_DEFAULT_PORT = {"https": 443, "http": 80}
_LONGEST_URL = 2048
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(/[^?#]*)?(\?[^#]*)?(#.*)?")
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?")
_UNREADABLE = re.compile(r"[\x00-\x20\x7f\\]")


class UrlRefused(RaincheckError):
    """A URL to which no webhook is sent; the message is for whoever gave the URL, and does not repeat it."""

    code: ClassVar[str] = "refused-url"


class AddressRefused(RaincheckError):
    """A host of which an address is not allowed; the message names the address, so it is for the operator only."""

    code: ClassVar[str] = "refused-address"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A judged URL.

    :param host: as :func:`~raincheck.webhooks.hosts.canonical_host` writes it.
    :param path: path and query as the request line carries them, ASCII.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The value of the ``Host`` header."""
        return self.host if self.port == _DEFAULT_PORT[self.scheme] else f"{self.host}:{self.port}"

    @property
    def address(self) -> Address | None:
        """The address that the host is, None for a name."""
        return literal_address(self.host)


def judge_url(url: str, *, allow: Sequence[str] = ("*",), private_networks: bool = False) -> Target:
    """Return the target of a URL to which webhooks may be sent, from its text alone.

    ``https`` to ports 443 and 8443. With ``private_networks`` also ``http``, names without a dot, and every port from
    1024 on. A pattern of ``allow`` that names a port allows exactly this one.

    :raises UrlRefused: it is malformed, carries a user name, matches no pattern, or is an address that is refused.
    :raises ConfigurationError: a pattern cannot be read.
    """
    target = _target(url)
    if target.scheme == "http" and not private_networks:
        msg = "The URL must begin with https://."
        raise UrlRefused(msg)
    patterns = [parsed_pattern(text) for text in allow]
    matching = [each for each in patterns if each.matches(scheme=target.scheme, host=target.host, port=target.port)]
    if not matching:
        msg = "The URL is none of those that this application allows."
        raise UrlRefused(msg)
    if not any(pattern.port == target.port for pattern in matching) and not _allowed_port(
        target.port, private_networks=private_networks
    ):
        msg = f"Port {target.port} is not allowed; leave it out to use 443."
        raise UrlRefused(msg)
    if target.address is not None:
        if refusal(target.address, private_networks=private_networks) is not None:
            msg = "The URL's host is an address that is not on the public internet."
            raise UrlRefused(msg)
    elif "." not in target.host and not private_networks:
        msg = "The URL's host must be a full name, with a dot in it."
        raise UrlRefused(msg)
    return target


def judge_addresses(addresses: Iterable[Address], *, private_networks: bool = False) -> tuple[Address, ...]:
    """Return a host's addresses, each once and in their order, if all of them may be called.

    One refused address refuses the host: of a mixed answer, nobody could tell which one is meant.

    :raises AddressRefused: one of them is not allowed, or there is none.
    """
    judged = tuple(dict.fromkeys(addresses))
    if not judged:
        msg = "The host has no address."
        raise AddressRefused(msg)
    for address in judged:
        why = refusal(address, private_networks=private_networks)
        if why is not None:
            raise AddressRefused(why)
    return judged


def _target(url: str) -> Target:
    """Read a URL strictly: what parsers disagree about is refused instead of repaired."""
    if len(url) > _LONGEST_URL:
        msg = f"The URL is longer than {_LONGEST_URL} characters."
        raise UrlRefused(msg)
    match = _URL.fullmatch(url)
    if match is None or _UNREADABLE.search(url) or any("\ud800" <= each <= "\udfff" for each in url):
        msg = "The URL is malformed: write https://host/path without spaces, control characters and backslashes."
        raise UrlRefused(msg)
    scheme, authority, path, query, fragment = match.groups()
    scheme = scheme.lower()
    if scheme not in _DEFAULT_PORT:
        msg = "The URL must begin with https://."
        raise UrlRefused(msg)
    if "@" in authority:
        msg = "The URL must not carry a user name or password."
        raise UrlRefused(msg)
    if fragment is not None:
        msg = "The URL must not carry a fragment (#)."
        raise UrlRefused(msg)
    parts = _AUTHORITY.fullmatch(authority)
    port = 0 if parts is None else int(parts[2] or _DEFAULT_PORT[scheme])
    if parts is None or not 1 <= port <= LAST_PORT:
        msg = "The URL's host or port is malformed."
        raise UrlRefused(msg)
    try:
        host = canonical_host(parts[1])
    except ValueError as error:
        msg = f"The URL cannot be used: {error}."
        raise UrlRefused(msg) from None
    # What is not ASCII is percent-encoded; escapes that are there stay as they are.
    target = quote((path or "/") + (query or ""), safe="!$%&'()*+,-./:;=?@[]_~")
    return Target(scheme=scheme, host=host, port=port, path=target)


def _allowed_port(port: int, *, private_networks: bool) -> bool:
    if private_networks:
        return port in _PRIVATE_PORTS or port >= _FIRST_UNPRIVILEGED_PORT
    return port in PUBLIC_PORTS
