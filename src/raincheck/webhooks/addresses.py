"""Which addresses a webhook may be sent to: a table of our own, since ``ipaddress.is_global`` is no filter.

``is_global`` lets cloud metadata services through, judges IPv4 inside IPv6 by half, and differs between Python
versions. Here the longest matching network decides; what no IPv6 network names is not the public internet.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address


class Reach(Enum):
    """Who may send to a network."""

    PUBLIC = "anybody"
    PRIVATE = "applications that allow private networks"
    NEVER = "nobody"


@dataclass(frozen=True, slots=True)
class Special:
    """A network, what it is, and where that is written."""

    network: IPv4Network | IPv6Network
    reach: Reach
    what: str
    source: str


def refusal(address: Address, *, private_networks: bool = False) -> str | None:
    """Return why nothing may be sent to an address, or None.

    :param private_networks: whether loopback, private and unique-local addresses are allowed. Metadata services,
        link-local, multicast, reserved and tunnelling addresses stay refused.
    """
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            # An IPv6-only host reaches the public IPv4 internet so. Private addresses must not be written in this
            # way (RFC 6052 §3.1), so they are refused even where private networks are allowed.
            embedded = refusal(IPv4Address(int(address) & _LOW_32_BITS))
            return None if embedded is None else f"{address} is a NAT64 address (RFC 6052): {embedded}"
        if (int(address) >> 32) & _LOW_32_BITS in _ISATAP:
            return f"{address} is an IPv4 address of a site's own network in ISATAP's form (RFC 5214)"
    special = next(each for each in _TABLE[address.version] if address in each.network)
    if special.reach is Reach.PUBLIC or (special.reach is Reach.PRIVATE and private_networks):
        return None
    return f"{address} is {special.what} ({special.source})"


_LOW_32_BITS = 0xFFFFFFFF
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)

_SPECIAL = (
    # IPv4: the IANA special-purpose registry, and what clouds add. What it does not name is public.
    ("0.0.0.0/0", Reach.PUBLIC, "public", "RFC 791"),
    ("0.0.0.0/8", Reach.NEVER, "this host on this network", "RFC 791 §3.2"),
    ("10.0.0.0/8", Reach.PRIVATE, "private", "RFC 1918"),
    ("100.64.0.0/10", Reach.PRIVATE, "a carrier's shared address", "RFC 6598"),
    ("100.100.100.200/32", Reach.NEVER, "a metadata service", "Alibaba Cloud"),
    ("127.0.0.0/8", Reach.PRIVATE, "loopback", "RFC 1122 §3.2.1.3"),
    ("168.63.129.16/32", Reach.NEVER, "the platform's own service", "Azure"),
    ("169.254.0.0/16", Reach.NEVER, "link-local, where metadata services are", "RFC 3927"),
    ("172.16.0.0/12", Reach.PRIVATE, "private", "RFC 1918"),
    ("192.0.0.0/24", Reach.NEVER, "a protocol assignment", "RFC 6890 §2.1; metadata of Oracle Cloud"),
    ("192.0.2.0/24", Reach.NEVER, "for documentation", "RFC 5737"),
    ("192.31.196.0/24", Reach.NEVER, "AS112, a sink for queries", "RFC 7535"),
    ("192.52.193.0/24", Reach.NEVER, "a multicast tunnel", "RFC 7450"),
    ("192.88.99.0/24", Reach.NEVER, "a 6to4 relay", "RFC 7526"),
    ("192.168.0.0/16", Reach.PRIVATE, "private", "RFC 1918"),
    ("192.175.48.0/24", Reach.NEVER, "AS112, a sink for queries", "RFC 7534"),
    ("198.18.0.0/15", Reach.NEVER, "for benchmarks", "RFC 2544"),
    ("198.51.100.0/24", Reach.NEVER, "for documentation", "RFC 5737"),
    ("203.0.113.0/24", Reach.NEVER, "for documentation", "RFC 5737"),
    ("224.0.0.0/4", Reach.NEVER, "multicast", "RFC 5771"),
    ("240.0.0.0/4", Reach.NEVER, "reserved", "RFC 1112 §4"),
    ("255.255.255.255/32", Reach.NEVER, "broadcast", "RFC 919 §7"),
    # IPv6: public is what IANA gives out, 2000::/3, without the special purposes in it.
    ("::/0", Reach.NEVER, "not on the public internet", "IANA IPv6 address space"),
    ("::/96", Reach.NEVER, "an IPv4-compatible address", "RFC 4291 §2.5.5.1"),
    ("::/128", Reach.NEVER, "unspecified", "RFC 4291 §2.5.2"),
    ("::1/128", Reach.PRIVATE, "loopback", "RFC 4291 §2.5.3"),
    ("::ffff:0:0/96", Reach.NEVER, "an IPv4-mapped address", "RFC 4291 §2.5.5.2"),
    ("::ffff:0:0:0/96", Reach.NEVER, "an IPv4-translated address", "RFC 2765 §2.1"),
    ("64:ff9b:1::/48", Reach.NEVER, "a local NAT64 address", "RFC 8215"),
    ("100::/64", Reach.NEVER, "a sink", "RFC 6666"),
    ("100:0:0:1::/64", Reach.NEVER, "a placeholder", "RFC 9780"),
    ("2000::/3", Reach.PUBLIC, "public", "RFC 4291 §2.4"),
    ("2001::/23", Reach.NEVER, "a protocol assignment, such as Teredo or ORCHID", "RFC 2928"),
    ("2001:db8::/32", Reach.NEVER, "for documentation", "RFC 3849"),
    ("2002::/16", Reach.NEVER, "a 6to4 address", "RFC 3056"),
    ("2620:4f:8000::/48", Reach.NEVER, "AS112, a sink for queries", "RFC 7534"),
    ("3ffe::/16", Reach.NEVER, "a returned 6bone address", "RFC 3701"),
    ("3fff::/20", Reach.NEVER, "for documentation", "RFC 9637"),
    ("5f00::/16", Reach.NEVER, "a segment identifier", "RFC 9602"),
    ("fc00::/7", Reach.PRIVATE, "unique-local", "RFC 4193"),
    ("fd00:42::42/128", Reach.NEVER, "a metadata service", "Scaleway"),
    ("fd00:ec2::/32", Reach.NEVER, "a metadata service, or another of the platform", "AWS"),
    ("fd20:ce::254/128", Reach.NEVER, "a metadata service", "Google Cloud"),
    ("fe80::/10", Reach.NEVER, "link-local", "RFC 4291 §2.5.6"),
    ("fec0::/10", Reach.NEVER, "site-local", "RFC 3879"),
    ("ff00::/8", Reach.NEVER, "multicast", "RFC 4291 §2.7"),
)


def _table(version: int) -> tuple[Special, ...]:
    """Return a version's networks, longest prefix first, so that the first match decides."""
    networks = (Special(ip_network(text), *rest) for text, *rest in _SPECIAL)  # type: ignore[arg-type]
    return tuple(
        sorted((each for each in networks if each.network.version == version), key=lambda each: -each.network.prefixlen)
    )


_TABLE = {4: _table(4), 6: _table(6)}
