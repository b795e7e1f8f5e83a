"""No URL, name or answer leads a webhook to an address that is refused: recorded where the process connects."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from raincheck.webhooks.addresses import refusal
from raincheck.webhooks.guard import UrlRefused, judge_url
from tests.webhooks.conftest import Names, message, receiving, sending
from tests.webhooks.hostile_urls import ADDRESS, NAMES, NEVER, TEXT, URLS
from tests.webhooks.recording import recording

pytestmark = pytest.mark.anyio
PUBLIC = "93.184.216.34"


class WorstNames(Names):
    """Names that lead to this machine unless a test knows better."""

    async def resolve(self, host, port):
        self.known.setdefault(host, ["127.0.0.1"])
        return await super().resolve(host, port)


def test_there_are_enough_hostile_urls():
    """The table is the point of this file."""
    assert len(URLS) >= 150


@pytest.mark.parametrize("url", URLS, ids=ascii)
async def test_a_hostile_url_connects_to_nothing(url):
    """Refused by its text, or by what its name leads to, with the code that says which."""
    with recording() as recorded:
        async with sending(resolver=WorstNames(dict(NAMES))) as deliverer:
            attempt = await deliverer.send(message(url, private_networks=False))
    assert recorded.connects == []
    assert recorded.lookups == []
    assert (attempt.failure, attempt.status) == (URLS[url], None), attempt


@pytest.mark.parametrize("url", NEVER, ids=ascii)
async def test_private_networks_open_no_way_to_metadata_and_system_ports(url):
    """The permission is for receivers, not for everything."""
    with recording() as recorded:
        async with sending(resolver=WorstNames(dict(NAMES))) as deliverer:
            attempt = await deliverer.send(message(url, private_networks=True))
    assert recorded.connects == []
    assert attempt.failure in (TEXT, ADDRESS), attempt


@pytest.mark.parametrize("url", [url for url, code in URLS.items() if code == TEXT], ids=ascii)
def test_what_the_text_tells_is_refused_at_the_submit(url):
    """The caller learns it at once, in words that repeat neither the URL nor anything of the network."""
    with pytest.raises(UrlRefused) as refused:
        judge_url(url)
    assert "secret" not in str(refused.value)
    assert refused.value.code == "refused-url"


async def test_a_name_that_changes_after_the_judgement_is_not_asked_again():
    """Rebinding: the connection goes to the judged address, and nobody looks the name up for it."""
    names = Names({"rebinding.example": [PUBLIC]})

    class Rebinding(Names):
        async def resolve(self, host, port):
            found = await names.resolve(host, port)
            names.known[host] = ["127.0.0.1"]
            return found

    with recording() as recorded:
        async with sending(resolver=Rebinding({})) as deliverer:
            first = await deliverer.send(message("https://rebinding.example/", private_networks=False))
            second = await deliverer.send(message("https://rebinding.example/", private_networks=False))
    assert recorded.connects == [(PUBLIC, 443)]
    assert recorded.lookups == []
    assert first.failure == "unreachable"
    assert second.failure == "refused-address"
    assert names.asked == ["rebinding.example"] * 2


async def test_every_judged_address_is_tried_in_order_and_no_other():
    """One that does not answer does not lose the webhook; of a long list only the first four are tried."""
    addresses = [f"93.184.216.{last}" for last in range(1, 10)]
    with recording() as recorded:
        async with sending(resolver=Names({"many.example": [addresses[0], *addresses]})) as deliverer:
            attempt = await deliverer.send(message("https://many.example:8443/", private_networks=False))
    assert recorded.connects == [(address, 8443) for address in addresses[:4]]
    assert attempt.failure == "unreachable"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://93.184.216.34/", PUBLIC),
        ("https://[2606:2800:220:1::1]/", "2606:2800:220:1::1"),
        ("https://[64:ff9b::5db8:d822]/", "64:ff9b::5db8:d822"),
        ("https://Fine.Example./", PUBLIC),
        ("https://faß.example/", PUBLIC),
    ],
    ids=ascii,
)
async def test_public_receivers_are_connected_to(url, address):
    """The filter does not refuse everything: here the process really tried to connect."""
    names = Names({"fine.example": [PUBLIC], "xn--fa-hia.example": [PUBLIC]})
    with recording() as recorded:
        async with sending(resolver=names) as deliverer:
            attempt = await deliverer.send(message(url, private_networks=False))
    assert recorded.connects == [(address, 443)]
    assert refusal(ip_address(address)) is None
    assert attempt.failure == "unreachable"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(deliverer, status):
    """The answer is the attempt's status, and no second connection is made."""
    async with receiving(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as inner:
        moved = f"HTTP/1.1 {status} Moved\r\nLocation: {inner.url}\r\nContent-Length: 0\r\n\r\n".encode()
        async with receiving(moved) as receiver:
            with recording() as recorded:
                attempt = await deliverer.send(message(receiver.url))
    assert attempt.status == status
    assert recorded.connects == [("127.0.0.1", receiver.port)]
    assert inner.requests == []


async def test_proxies_of_the_environment_are_not_used(monkeypatch):
    """A proxy would connect where nobody has judged."""
    async with receiving(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with receiving(b"HTTP/1.1 204 No Content\r\n\r\n") as receiver, sending() as deliverer:
            attempt = await deliverer.send(message(receiver.url))
    assert attempt.status == 204
    assert proxy.requests == []


async def test_an_attempt_leaves_nothing_to_the_next_one(deliverer):
    """Neither the connection, which was judged for one attempt only, nor a cookie."""
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"
    async with receiving(answer) as receiver:
        with recording() as recorded:
            for _ in range(3):
                await deliverer.send(message(receiver.url))
    assert len(recorded.connects) == len(receiver.requests) == 3
    assert not any(b"cookie" in request.lower() for request in receiver.requests)
