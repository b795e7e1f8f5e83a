"""What may be configured of webhooks, and that secrets stay secret."""

from __future__ import annotations

import base64

import pytest

from raincheck import Callbacks, ConfigurationError, Webhook
from raincheck.core.endpoints import (
    TERMINAL_EVENTS,
    Source,
    WebhookPolicy,
    WebhookType,
    read_events,
    receiver_of,
)

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
NEWER = "whsec_" + base64.b64encode(b"n" * 24).decode()
URL = "https://hooks.example.com/token-1"


def test_one_secret_or_several_are_kept_in_order():
    """While receivers rotate, each signs."""
    assert Webhook(url=URL, secret=SECRET).secrets == (SECRET,)
    assert Callbacks(secret=(NEWER, SECRET)).secrets == (NEWER, SECRET)


@pytest.mark.parametrize(
    "make", [lambda secret: Webhook(url=URL, secret=secret), lambda secret: Callbacks(secret=secret)]
)
@pytest.mark.parametrize(
    "secret", ["", "password-1", "whsec_", "whsec_c2hvcnQ=", "whsec_!!!", (), (SECRET, "bad-one"), None]
)
def test_a_secret_that_cannot_sign_is_refused_without_repeating_it(make, secret):
    """The message goes to logs."""
    with pytest.raises((ConfigurationError, TypeError)) as caught:
        make(secret)
    assert "password-1" not in str(caught.value)
    assert "bad-one" not in str(caught.value)


def test_secrets_are_in_no_repr():
    """Configuration is printed, logged and shown in tracebacks."""
    policy = WebhookPolicy(webhooks=(Webhook(url=URL, secret=SECRET),), callbacks=Callbacks(secret=(NEWER,)))
    assert SECRET[8:] not in repr(policy)
    assert NEWER[8:] not in repr(policy)
    assert all(SECRET not in repr(endpoint) for endpoint in policy.endpoints)


@pytest.mark.parametrize("events", [(), ("operation.done",), ("succeeded",), "operation.succeeded,operation.failed"])
def test_unknown_events_are_refused_with_the_known_ones(events):
    """Otherwise an endpoint would wait for ever for what never comes."""
    with pytest.raises(ConfigurationError, match=r"operation\.succeeded, operation\.failed"):
        Webhook(url=URL, secret=SECRET, events=events)


def test_events_are_the_ends_by_default_and_each_counts_once():
    """Named by their texts."""
    assert Webhook(url=URL, secret=SECRET).events == TERMINAL_EVENTS
    webhook = Webhook(url=URL, secret=SECRET, events=("operation.progress", "operation.progress"))
    assert webhook.events == (WebhookType.PROGRESS,)
    assert Webhook(url=URL, secret=SECRET, events="operation.failed").events == (WebhookType.FAILED,)
    assert read_events([]) is None


def test_callbacks_that_allow_no_url_are_refused():
    """Leaving callbacks away is how to switch them off."""
    with pytest.raises(ConfigurationError, match="lets no URL through"):
        Callbacks(secret=SECRET, allow=())
    assert Callbacks(secret=SECRET, allow="https://*.example.com").allow == ("https://*.example.com",)


def test_two_webhooks_for_one_url_are_refused():
    """A delivery could not tell whose secret signs it."""
    webhook = Webhook(url=URL, secret=SECRET)
    with pytest.raises(ConfigurationError, match="twice"):
        WebhookPolicy(webhooks=(webhook, webhook))


def test_the_rules_of_a_delivery_are_those_of_who_asked_for_it():
    """None where this process does not know the endpoint."""
    webhook, callbacks = Webhook(url=URL, secret=SECRET), Callbacks(secret=NEWER)
    policy = WebhookPolicy(webhooks=(webhook,), callbacks=callbacks)
    assert policy.rules_for(Source.WEBHOOK, URL) is webhook
    assert policy.rules_for(Source.CALLBACK, URL) is callbacks
    assert policy.rules_for(Source.WEBHOOK, "https://gone.example.com/") is None
    assert not WebhookPolicy()


@pytest.mark.parametrize(
    ("url", "receiver"),
    [
        ("https://Hooks.Example.com/a?b", "https://hooks.example.com:443"),
        ("http://hooks.example.com./", "http://hooks.example.com:80"),
        ("https://hooks.example.com:8443", "https://hooks.example.com:8443"),
        ("https://[2001:DB8::1]/", "https://[2001:db8::1]:443"),
    ],
)
def test_a_receiver_is_scheme_host_and_port(url, receiver):
    """What is slow or dead together, however its URL is spelled."""
    assert receiver_of(url) == receiver
