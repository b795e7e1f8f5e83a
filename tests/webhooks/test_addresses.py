"""The table of addresses, against the registries, another filter and chance."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from AntiSSRF import AntiSSRFPolicy, PolicyConfigOptions
from hypothesis import given
from hypothesis import strategies as st

from raincheck.webhooks.addresses import refusal
from raincheck.webhooks.guard import AddressRefused, judge_addresses

PUBLIC = (
    "1.0.0.0",
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.0.3.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "2000::1",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2003::1",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "3ffd:ffff::1",
    "64:ff9b::808:808",  # 8.8.8.8 through NAT64
)
PRIVATE = (
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.168.0.0",
    "192.168.255.255",
    "::1",
    "fc00::",
    "fd12:3456:789a::1",
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
)
NEVER = (
    "0.0.0.0",
    "0.255.255.255",
    "100.100.100.200",  # metadata of Alibaba Cloud
    "168.63.129.16",  # Azure's own service
    "169.254.0.0",
    "169.254.169.253",  # DNS of AWS
    "169.254.169.254",  # metadata of AWS, Azure, Google Cloud and others
    "169.254.170.2",  # credentials of containers at AWS
    "169.254.255.255",
    "192.0.0.0",
    "192.0.0.9",
    "192.0.0.192",  # metadata of Oracle Cloud
    "192.0.0.255",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.175.48.1",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.254",
    "255.255.255.255",
    "::",
    "::2",
    "::7f00:1",  # 127.0.0.1, IPv4-compatible
    "::a9fe:a9fe",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:8.8.8.8",  # no name leads to a public server so
    "::ffff:0:127.0.0.1",  # IPv4-translated
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::6464:64c8",
    "64:ff9b:1::7f00:1",
    "64:ff9b:1:a9fe:a9:fe00::",  # 169.254.169.254 behind a /48 prefix (RFC 6052 §2.2)
    "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
    "100::1",
    "100:0:0:1::1",
    "1fff:ffff::1",
    "2001::1",  # Teredo
    "2001:0:a9fe:a9fe::1",
    "2001:2::1",
    "2001:3::1",
    "2001:4:112::1",
    "2001:10::1",
    "2001:20::1",
    "2001:30::1",
    "2001:1ff:ffff::1",
    "2001:db8::1",
    "2002:7f00:1::1",  # 127.0.0.1 through 6to4
    "2002:a9fe:a9fe::1",
    "2002:808:808::1",
    "2620:4f:8000::1",
    "2001:470:1f0b::5efe:a00:1",  # 10.0.0.1 through ISATAP
    "2001:470:1f0b::200:5efe:a00:1",
    "3ffe::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fd00:42::42",  # metadata of Scaleway
    "fd00:ec2::254",  # metadata of AWS
    "fd00:ec2::23",
    "fd20:ce::254",  # metadata of Google Cloud
    "fe80::1",
    "fe80::a9fe:a9fe",
    "febf:ffff::1",
    "fec0::1",
    "feff::1",
    "ff02::1",
    "ff0e::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
)
NAT64 = int(IPv6Address("64:ff9b::"))
ADDRESSES = st.one_of(
    st.ip_addresses(v=4),
    st.ip_addresses(v=6),
    st.integers(0, 2**125 - 1).map(lambda low: IPv6Address((1 << 125) | low)),  # 2000::/3
    st.ip_addresses(v=4).map(lambda inner: IPv6Address(NAT64 | int(inner))),
)


@pytest.fixture(scope="module")
def blocked_elsewhere():
    """The networks that Microsoft's filter denies, IPv4 as IPv4-mapped."""
    policy = AntiSSRFPolicy(PolicyConfigOptions.EXTERNAL_ONLY_LATEST)
    return [block.get_network() for block in policy.denied_addresses]


def mapped(address):
    return IPv6Address(f"::ffff:{address}") if address.version == 4 else address


def is_public_behind_nat64(address):
    """The one thing that we let through and others do not: how an IPv6-only host reaches the IPv4 internet."""
    return int(address) >> 32 == NAT64 >> 32 and refusal(IPv4Address(int(address) & 0xFFFFFFFF)) is None


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_may_be_called(text):
    """The neighbours of every special network included."""
    assert refusal(ip_address(text)) is None
    assert refusal(ip_address(text), private_networks=True) is None


@pytest.mark.parametrize("text", PRIVATE)
def test_private_addresses_need_the_permission(text):
    """With it they may be called, without it not."""
    assert refusal(ip_address(text)) is not None
    assert refusal(ip_address(text), private_networks=True) is None


@pytest.mark.parametrize("text", NEVER)
def test_some_addresses_are_never_called(text):
    """Metadata services, tunnels, multicast and reserved networks make no receiver, on no network."""
    assert refusal(ip_address(text)) is not None
    assert refusal(ip_address(text), private_networks=True) is not None


def test_the_refusal_says_what_the_address_is_and_where_that_is_written():
    """The operator need not look it up."""
    assert refusal(ip_address("169.254.169.254")) == (
        "169.254.169.254 is link-local, where metadata services are (RFC 3927)"
    )
    assert refusal(ip_address("64:ff9b::a00:1")) == (
        "64:ff9b::a00:1 is a NAT64 address (RFC 6052): 10.0.0.1 is private (RFC 1918)"
    )


def test_what_another_filter_blocks_is_blocked_at_its_edges(blocked_elsewhere):
    """First, last and middle address of each of its networks."""
    for network in blocked_elsewhere:
        for number in (0, network.num_addresses // 2, network.num_addresses - 1):
            address = network[number]
            judged = address.ipv4_mapped or address
            assert refusal(judged) or is_public_behind_nat64(judged), judged
    assert len(blocked_elsewhere) >= 30


@given(ADDRESSES)
def test_what_another_filter_blocks_is_blocked(blocked_elsewhere, address):
    """Any address at all; only public ones behind NAT64 differ."""
    if any(mapped(address) in network for network in blocked_elsewhere):
        assert refusal(address) or is_public_behind_nat64(address)


@given(ADDRESSES)
def test_what_python_calls_not_global_is_blocked(address):
    """``is_global`` lets too much through, but what it stops is stopped here."""
    if not address.is_global:
        assert refusal(address) or is_public_behind_nat64(address)


@given(ADDRESSES)
def test_permission_for_private_networks_takes_nothing_away(address):
    """What may be called without it may be called with it."""
    if refusal(address) is None:
        assert refusal(address, private_networks=True) is None


@given(st.ip_addresses(v=4))
def test_ipv4_inside_ipv6_never_reaches_further_than_itself(inner):
    """Mapped, compatible, 6to4, Teredo, ISATAP, translated: none is a way around the table of IPv4."""
    number = int(inner)
    forms = [
        IPv6Address(number),
        IPv6Address((0xFFFF << 32) | number),
        IPv6Address((0xFFFF << 48) | number),
        IPv6Address((0x2002 << 112) | (number << 80) | 1),
        IPv6Address((0x20010000 << 96) | (number ^ 0xFFFFFFFF)),
        IPv6Address((0x2A00 << 112) | (0x5EFE << 32) | number),
        IPv6Address((0x0064FF9B0001 << 80) | number),
    ]
    for form in forms:
        assert refusal(form)
        if number != 1:  # ::1, loopback and not 0.0.0.1
            assert refusal(form, private_networks=True)
    if refusal(inner):
        assert refusal(IPv6Address(NAT64 | number), private_networks=True)


def test_one_refused_address_refuses_the_host():
    """Of a mixed answer, a sender could be led to either one."""
    good, bad = ip_address("93.184.216.34"), ip_address("10.0.0.1")
    for answer in ([good, bad], [bad, good], [good, ip_address("::1")]):
        with pytest.raises(AddressRefused):
            judge_addresses(answer)
    assert judge_addresses([good, good]) == (good,)


def test_a_host_without_addresses_is_refused():
    """An empty answer is no permission."""
    with pytest.raises(AddressRefused, match="no address"):
        judge_addresses([])
