"""Tickets: how a browser's EventSource, which sends no headers, is let in without a token in a URL that lives long."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from starlette.responses import Response

from raincheck.core.errors import TicketRefused
from raincheck.core.moments import rfc3339
from raincheck.fastapi import streams
from raincheck.ports import Ticket

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.requests import Request

    from raincheck.fastapi.serving import Gateway, Serving

_PREFIX = "rct_"
_FIRST_USE = timedelta(seconds=60)
_AFTER_CLOSE = timedelta(seconds=60)


class TicketRoutes:
    """Gives tickets out, and lets their bearers in."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def create_operation_ticket(self, request: Request, owner: str) -> Response:
        """Give a ticket for this operation's events: first use within 60 seconds, then only to resume."""
        parts = self._gateway.parts()
        operation = await parts.service.get(request.path_params["operation_id"], owner=owner)
        text = _PREFIX + secrets.token_urlsafe(32)
        now = parts.clock()
        until = now + _FIRST_USE
        await parts.tickets.issue(Ticket(_digest(text), operation.id, operation.owner, until), now=now)
        events = f"{self._gateway.links(request).of(operation.id)['events']}?ticket={text}"
        body = json.dumps({"ticket": text, "events": events, "expires_at": rfc3339(until)})
        return Response(body, 201, media_type="application/json", headers={"Cache-Control": "no-store"})


@dataclass(frozen=True, slots=True)
class Admission:
    """One use of a ticket. ``until`` is the end that it gave the ticket: a stream and a minute later."""

    owner: str
    digest: str
    until: datetime

    async def end(self, parts: Serving) -> None:
        """Let the ticket resume for another minute, unless it has resumed already."""
        await parts.tickets.end_use(self.digest, given=self.until, until=parts.clock() + _AFTER_CLOSE)


async def admitted(parts: Serving, text: str, *, operation_id: str, resuming: bool) -> Admission:
    """Use a ticket.

    :raises TicketRefused: unknown, run out, for another operation, or used already and not resuming.
    """
    now = parts.clock()
    until = now + timedelta(seconds=streams.LONGEST_STREAM) + _AFTER_CLOSE
    digest = _digest(text)
    found = await parts.tickets.use(digest, resuming=resuming, now=now, until=until)
    if found is None or found[0] != operation_id:
        detail = "The ticket is not valid (any more) for this operation. Ask for a new one."
        raise TicketRefused(detail)
    return Admission(found[1], digest, until)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
