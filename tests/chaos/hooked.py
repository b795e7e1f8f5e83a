"""An application whose every operation calls a receiver back; killed in the middle by test_webhooks.py."""

from __future__ import annotations

import os

from fastapi import FastAPI

from raincheck import Raincheck, Webhook

app = FastAPI()
rain = Raincheck(
    app,
    public_url="https://api.example.com",
    webhooks=[Webhook(url=os.environ["HOOKED_RECEIVER"], secret=os.environ["HOOKED_SECRET"], private_networks=True)],
)


@rain.post("/numbers/{number}")
async def number(number: int) -> int:
    return number


@app.get("/alive")
async def alive() -> bool:
    return True
