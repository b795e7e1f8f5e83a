"""``Callback-Url`` and ``Callback-Events``: where a caller wants to hear of its operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raincheck.core.endpoints import Callback, Callbacks, WebhookType, read_events
from raincheck.core.errors import CallbacksDisabled, CallbackUrlRefused, MalformedRequest

if TYPE_CHECKING:
    from collections.abc import Sequence


def requested_callback(urls: Sequence[str], events: Sequence[str], *, rules: Callbacks | None) -> Callback | None:
    """Return what the headers ask for; None where they are absent.

    The URL is judged as a text and by the application's rules; where its name leads is judged at each attempt.

    :raises CallbacksDisabled: the application calls nobody back.
    :raises CallbackUrlRefused: the URL is malformed or not allowed.
    :raises MalformedRequest: a header twice, events without a URL, or unknown ones.
    """
    if not urls and not events:
        return None
    if rules is None:
        detail = (
            "This application calls no URLs back. Poll the operation's `links.self` instead, or send no Callback-Url."
        )
        raise CallbacksDisabled(detail)
    if len(urls) != 1:
        detail = "Callback-Events needs a Callback-Url." if not urls else "Callback-Url was sent twice. Send it once."
        raise MalformedRequest(detail)
    # Here, since its packages are an extra that most applications do without.
    from raincheck.webhooks.guard import UrlRefused, judge_url  # noqa: PLC0415

    url = urls[0].strip()
    if not url.isascii():
        detail = "Callback-Url must be ASCII: write international names in punycode and encode other characters."
        raise CallbackUrlRefused(detail)
    try:
        judge_url(url, allow=rules.allow, private_networks=rules.private_networks)
    except UrlRefused as refused:
        raise CallbackUrlRefused(str(refused)) from None
    if not events:
        return Callback(url)
    names = [name.strip() for value in events for name in value.split(",")]
    found = read_events(name for name in names if name)
    if found is None:
        detail = f"Callback-Events must name some of {', '.join(WebhookType)}, with commas between."
        raise MalformedRequest(detail)
    return Callback(url, found)
