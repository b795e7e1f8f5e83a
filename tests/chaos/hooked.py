"""An application whose every operation calls a receiver back; killed in the middle by test_webhooks.py."""

from __future__ import annotations

import os

from fastapi import FastAPI

from raincheck import Raincheck, Webhook
from raincheck.signals.postgres import PostgresSignals
from raincheck.stores.sqlite import SqliteStore


async def deaf(signals: object, notice: object) -> None:
    """Hear nothing of other processes."""


if os.environ.get("CHAOS_DEAF"):
    SqliteStore.start = deaf  # type: ignore[method-assign,assignment]
    PostgresSignals.start = deaf  # type: ignore[method-assign]

app = FastAPI()
rain = Raincheck(
    app,
    public_url=os.environ.get("HOOKED_PUBLIC_URL", "https://api.example.com"),  # tells which process sent a webhook
    webhooks=[Webhook(url=os.environ["HOOKED_RECEIVER"], secret=os.environ["HOOKED_SECRET"], private_networks=True)],
)


@rain.post("/numbers/{number}")
async def number(number: int) -> int:
    return number


@app.get("/alive")
async def alive() -> bool:
    return True
