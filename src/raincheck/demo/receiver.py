"""A stand-in for somebody else's application that wants to hear when the demo's operations end.

It does what every receiver of webhooks must: verify first, answer at once, handle each webhook once, and believe only
what is newer than what it knows. An application keeps in its database what is kept in memory here.
"""

import asyncio
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, FastAPI
from pydantic import BaseModel

from raincheck import VerifiedWebhook
from raincheck.client import WebhookEvent
from raincheck.demo import neighbour
from raincheck.demo.addresses import WEBHOOK_SECRET

KEPT = 100
PATIENCE = 10.0  # seconds

app = FastAPI(title="A receiver of webhooks")


class Arrived(BaseModel):
    """A verified webhook; ``times`` counts how often it was sent. A test message tells of no operation."""

    webhook_id: str
    type: str
    operation: str | None
    kind: str | None
    version: int
    arrived_at: datetime
    times: int = 1


class Inbox:
    """The newest webhooks by their id, and a way to wait for one."""

    def __init__(self) -> None:
        self._arrived: OrderedDict[str, Arrived] = OrderedDict()
        self._news = asyncio.Condition()

    async def take(self, event: WebhookEvent) -> None:
        """Keep a webhook; one that comes again is counted and not handled again."""
        async with self._news:
            if known := self._arrived.get(event.id):
                known.times += 1
                return
            self._arrived[event.id] = Arrived(
                webhook_id=event.id,
                type=event.type,
                operation=event.data.get("id"),
                kind=event.data.get("kind"),
                version=event.data.get("version", 0),
                arrived_at=datetime.now(UTC),
            )
            if len(self._arrived) > KEPT:
                self._arrived.popitem(last=False)
            self._news.notify_all()

    async def about(self, operation: str) -> list[Arrived]:
        """Return what arrived about an operation, newest first; wait for the first for ten seconds at most."""
        async with self._news:
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._news.wait_for(lambda: self._of(operation))
            except TimeoutError:
                return []
            return self._of(operation)

    def everything(self) -> list[Arrived]:
        """Return what arrived, newest first."""
        return list(reversed(self._arrived.values()))

    def _of(self, operation: str) -> list[Arrived]:
        found = (each for each in reversed(self._arrived.values()) if each.operation == operation)
        return sorted(found, key=lambda each: each.version, reverse=True)  # they may come in any order


inbox = Inbox()


@app.post("/webhooks", status_code=204)
async def hear(event: Annotated[WebhookEvent, Depends(VerifiedWebhook(WEBHOOK_SECRET))]) -> None:
    """Take a webhook; what is not signed with the secret has been answered with 400."""
    await inbox.take(event)


@app.get("/arrived")
async def arrived(operation: str | None = None) -> list[Arrived]:
    """Show what arrived; with an operation, wait until something about it has."""
    return inbox.everything() if operation is None else await inbox.about(operation)


if __name__ == "__main__":
    neighbour.serve(app)
