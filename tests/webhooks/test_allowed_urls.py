"""What an application allows: patterns and ports."""

from __future__ import annotations

import pytest

from raincheck.core.errors import ConfigurationError
from raincheck.webhooks.guard import UrlRefused, judge_url
from raincheck.webhooks.patterns import check_patterns


@pytest.mark.parametrize(
    ("allow", "url", "private"),
    [
        ("*", "https://example.com/", False),
        ("*", "https://example.com:8443/", False),
        ("https://*", "https://example.com/", False),
        ("https://example.com", "https://EXAMPLE.com./hooks?a=b", False),
        ("https://Example.COM/", "https://example.com/", False),
        ("https://*.example.com", "https://a.b.example.com/", False),
        ("https://münchen.example", "https://xn--mnchen-3ya.example/", False),
        ("https://example.com:9443", "https://example.com:9443/", False),
        ("https://93.184.216.34", "https://93.184.216.34/", False),
        ("https://[2606:4700::1]", "https://[2606:4700:0::1]/", False),
        ("*", "http://receiver:8080/", True),
        ("*", "http://127.0.0.1/", True),
        ("http://receiver:8080", "http://receiver:8080/", True),
    ],
)
def test_allowed(allow, url, private):
    """Hosts compare in one spelling; a pattern that names a port allows it though others may not use it."""
    judge_url(url, allow=("https://nothing.example", allow), private_networks=private)


@pytest.mark.parametrize(
    ("allow", "url", "private"),
    [
        ("https://example.com", "https://other.example.com/", False),
        ("https://example.com", "https://example.com.evil.example/", False),
        ("https://*.example.com", "https://example.com/", False),
        ("https://*.example.com", "https://evilexample.com/", False),
        ("https://*.example.com", "https://x.example.com@evil.example/", False),
        ("https://example.com:9443", "https://example.com/", False),
        ("https://example.com", "https://example.com:9443/", False),
        ("*", "https://example.com:8080/", False),
        ("http://example.com", "http://example.com/", False),
        ("https://example.com", "http://example.com/", True),
        ("https://10.0.0.1", "https://10.0.0.1/", False),
        ("https://169.254.169.254", "https://169.254.169.254/", True),
        ("*", "http://127.0.0.1:22/", True),
        ("*", "http://127.0.0.1:1023/", True),
    ],
)
def test_refused(allow, url, private):
    """A pattern never opens what the addresses close, nor plain text without the permission."""
    with pytest.raises(UrlRefused):
        judge_url(url, allow=(allow,), private_networks=private)


def test_nothing_is_allowed_without_a_pattern():
    """An empty list is not the same as no list."""
    with pytest.raises(UrlRefused, match="none of those"):
        judge_url("https://example.com/", allow=())


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "example.com",
        "ftp://example.com",
        "https://",
        "https://example.com/hooks",
        "https://user@example.com",
        "https://*.*.example.com",
        "https://*.*",
        "https://a.*.example.com",
        "https://example.com:0",
        "https://example.com:99999",
        "https://0x7f.1",
        "https://*.10.0.0.1",
        "https://exam ple.com",
    ],
)
def test_a_pattern_that_cannot_be_read_is_refused_at_the_start(pattern):
    """It would otherwise allow nothing, or more than was meant; the message shows the forms."""
    with pytest.raises(ConfigurationError, match=r"https://\*\.example\.com"):
        check_patterns(["*", pattern])


def test_the_target_is_what_will_be_sent():
    """Canonical host, port and request target, with what is not ASCII percent-encoded and escapes left alone."""
    target = judge_url("https://MÜNCHEN.example:8443/ä%20b?q=ö")
    assert (target.authority, target.path) == ("xn--mnchen-3ya.example:8443", "/%C3%A4%20b?q=%C3%B6")
    assert judge_url("https://example.com?a").path == "/?a"
    assert judge_url("https://example.com:443").authority == "example.com"
