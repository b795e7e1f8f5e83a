"""The application whose operator's page is tested: below a root path and a prefix, with owners and hostile texts."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Annotated, Any

from fastapi import Cookie, FastAPI, Header, HTTPException
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field
from starlette.types import ASGIApp, Receive, Scope, Send

from raincheck import Callbacks, OperationContext, OperationFailed, Raincheck, Webhook
from raincheck.dashboard import Operator, Viewer

SIGNALS = Path(os.environ.get("READERS_SIGNALS", "."))
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>\u202e</pre>{@html 1}'

logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s")
logging.getLogger("httpx2").setLevel(logging.WARNING)


class Behind:
    """A proxy's path in front of the application's own, as ``uvicorn --root-path`` tells of it."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            scope["root_path"] = "/behind"
        await self._inner(scope, receive, send)


app = FastAPI(title="Test <b>shop</b>")
app.add_middleware(Behind)


def caller(x_caller: Annotated[str, Header()] = "ada") -> str:
    """Say whose operation it is."""
    return x_caller


def guard(x_role: Annotated[str | None, Header()] = None, role: Annotated[str | None, Cookie()] = None) -> object:
    """Let roles in; what is no Operator may look."""
    match x_role or role:
        case "operator":
            return Operator("olga")
        case "viewer":
            return Viewer("vera")
        case "name":
            return "nina"
        case "nothing":
            return None
    raise HTTPException(401, "Log in.", {"WWW-Authenticate": "Basic"})


# Nobody listens on these ports: deliveries fail at once, and nothing leaves the machine. What is dead is tried ever
# more rarely, a receiver (host and port) at a time; so each test that waits for an attempt has one to itself.
NOWHERE = "http://127.0.0.1:1/hooks"
NOWHERE_ELSE = "http://127.0.0.1:2/hooks"
CONFIGURED = "http://127.0.0.1:3/progress"
SECRET = "whsec_bmV2ZXIgdXNlZCBpbiBwcm9kdWN0aW9uISE="
rain = Raincheck(
    app,
    prefix="/api",
    owner=caller,
    dashboard=guard,
    callbacks=Callbacks(secret=SECRET, allow=("http://127.0.0.1:1", "http://127.0.0.1:2"), private_networks=True),
    # It hears of drawings alone, so that other operations have the webhooks that their tests ask for.
    webhooks=[Webhook(url=CONFIGURED, secret=SECRET, events=("operation.progress",), private_networks=True)],
    public_url="http://127.0.0.1",
)


@app.get("/ping")
async def ping() -> str:
    """Answer at once."""
    return "pong"


class Drawing(BaseModel):
    """What to draw."""

    steps: Annotated[int, Field(ge=1, le=1000)] = 4
    fails: bool = False
    signal: str | None = None


@rain.post("/drawings")
async def draw(order: Drawing, op: OperationContext) -> dict[str, Any]:
    """Tell of each step; wait for a signal in the middle, if there is a name for one."""
    op.log(HOSTILE, level="warning")
    for number in range(order.steps):
        op.progress(number, order.steps, message=HOSTILE, unit="steps")
        op.emit({"step": number})
        op.emit("word ")
        await asyncio.sleep(0)
    await op.drain()
    while order.signal is not None and not (SIGNALS / order.signal).exists():
        op.raise_if_cancelled()
        await asyncio.sleep(0.02)
    if order.fails:
        raise RuntimeError("out of " + HOSTILE)
    return {"steps": order.steps, "text": HOSTILE}


@rain.post("/pages/{name}", response_class=HTMLResponse)
async def page(name: str, times: int = 1) -> HTMLResponse:
    """Give a page whose script must not run where operators look."""
    return HTMLResponse(f"<script>alert({times})</script>{name}")


@rain.post("/refusals")
async def refuse(detail: str = HOSTILE) -> None:
    """Fail on purpose."""
    raise OperationFailed(code="out-of-ink", title="Out of ink", status=409, detail=detail)
