"""Hosts of URLs: one spelling for each, so that what is judged is what is resolved."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from raincheck.core.errors import ConfigurationError

if TYPE_CHECKING:
    from raincheck.webhooks.addresses import Address

MISSING_EXTRA = "Webhooks need more packages. Install them with: pip install 'raincheck[webhooks]'"
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST_NAME = 253


def literal_address(host: str) -> Address | None:
    """Return the address that a host of :func:`canonical_host` is, or None for a name."""
    if host.startswith("["):
        return IPv6Address(host[1:-1])
    return IPv4Address(host) if host.rpartition(".")[2].isdigit() else None


def canonical_host(text: str) -> str:
    """Return a host in lower-case ASCII: a name without its trailing dot, a dotted quad, or ``[IPv6]``.

    International names are mapped as browsers map them (UTS #46), which turns ideographic full stops and enclosed or
    full-width digits into plain ones. Short, octal and hexadecimal spellings of IPv4 are refused, since parsers differ
    about them; so are zones of IPv6 addresses (RFC 9844).

    :raises ValueError: no such host; the message is for whoever wrote the URL.
    :raises ConfigurationError: the extra ``webhooks`` is not installed.
    """
    if text.startswith("["):
        return _bracketed(text)
    name = text if text.isascii() else _mapped(text)
    name = name.lower().removesuffix(".")
    if not name or len(name) > _LONGEST_NAME or not all(map(_LABEL.fullmatch, name.split("."))):
        msg = "the host is not a valid name"
        raise ValueError(msg)
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        # A resolver would read 0177.1, 2130706433 and 0x7f.1 as addresses.
        try:
            return str(IPv4Address(name))
        except ValueError:
            msg = "the host is a number; write an IPv4 address as four decimal numbers without leading zeros"
            raise ValueError(msg) from None
    return name


def _bracketed(text: str) -> str:
    if not text.endswith("]") or "%" in text:
        msg = "the host is not a valid IPv6 address; zones are not allowed"
        raise ValueError(msg)
    try:
        return f"[{IPv6Address(text[1:-1])}]"
    except ValueError:
        msg = "the host is not a valid IPv6 address"
        raise ValueError(msg) from None


def _mapped(text: str) -> str:
    try:
        import idna  # noqa: PLC0415 - of the extra, so imported where it is used
    except ImportError as error:
        raise ConfigurationError(MISSING_EXTRA) from error
    try:
        return idna.encode(text, uts46=True, std3_rules=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        msg = "the host is not a valid international name"
        raise ValueError(msg) from None
