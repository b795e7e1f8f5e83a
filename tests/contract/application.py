"""The applications that the contract tests serve: operations of every behaviour, and ways to set up an application."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Annotated, Any

import behaviours
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import JSONResponse
from hostile import TEXTS

from raincheck import Callbacks, OperationContext, Raincheck, Retry, Settings, Webhook
from raincheck.core import delivery_rules
from raincheck.fastapi import streams, tickets, websocket
from tests.engines.celery_chosen import celery_chosen

celery, engine = celery_chosen()

# --- operations in processes: a child looks for a function in the module that registers it ------------------------


def build_in_process(order: behaviours.Order) -> behaviours.Report:
    return behaviours.Report(pages=order.pages, title=order.title)


def held_in_process(name: str, op: OperationContext) -> dict[str, str]:
    return behaviours.held_in_thread(name, op)


def texts_in_process(op: OperationContext) -> None:
    """Say the same from a child process."""
    for text in TEXTS.values():
        op.emit({"text": text})


def crash_in_process() -> None:
    secret = "/srv/secret/place"
    raise RuntimeError(secret)


def die() -> None:
    """End the process that runs this, as the kernel would."""
    os.kill(os.getpid(), signal.SIGKILL)


# --- registration -------------------------------------------------------------------------------------------------


async def permission(x_permission: Annotated[str | None, Header()] = None) -> None:
    if x_permission != "yes":
        raise HTTPException(403, detail="no permission")


def add_few(rain: Raincheck) -> None:
    """Register what every server has; a server with few operations starts sooner."""
    rain.post("/reports")(behaviours.build_report)
    rain.post("/held/{name}")(behaviours.held)
    rain.post("/held-threads/{name}")(behaviours.held_in_thread)
    rain.post("/held-processes/{name}", executor="process")(held_in_process)
    rain.post("/uploads")(behaviours.upload)
    rain.post("/echoes")(behaviours.echo)
    rain.post("/stories/{name}")(behaviours.story)
    rain.post("/floods/{name}")(behaviours.flood)


def add_all(rain: Raincheck) -> None:
    """Register every operation."""
    add_few(rain)
    rain.post("/threads")(behaviours.build_in_thread)
    rain.post("/processes", executor="process")(build_in_process)
    rain.post("/waiting/{name}", kind="waiting", wait="20s")(behaviours.held)
    rain.post("/stubborn/{name}")(behaviours.stubborn)
    rain.post("/stubborn-failures/{name}", retry=Retry(attempts=3, backoff=0))(behaviours.stubborn_failure)
    rain.post("/steps/{name}")(behaviours.steps)
    rain.post("/texts")(behaviours.texts)
    rain.post("/process-texts", executor="process")(texts_in_process)
    rain.post("/refusals")(behaviours.refuse)
    rain.post("/shortages")(behaviours.run_out)
    rain.post("/crashes")(behaviours.crash)
    rain.post("/process-crashes", executor="process")(crash_in_process)
    rain.post("/deaths", executor="process", max_losses=1)(die)
    rain.post("/overruns", timeout="200ms")(behaviours.overrun)
    rain.post("/endless", kind="endless")(behaviours.overrun)
    rain.post("/mismatches")(behaviours.mismatch)
    rain.post("/greetings")(behaviours.greet)
    rain.post("/pages")(behaviours.page)
    rain.post("/handmade")(behaviours.handmade)
    rain.post("/nothing", status_code=204)(behaviours.nothing)
    rain.post("/large/{size}")(behaviours.large)
    rain.post("/downloads/{size}")(behaviours.download)
    rain.post("/unsteady", retry=Retry(attempts=3, backoff=0.01))(behaviours.unsteady)
    rain.post("/exhausted", kind="exhausted", retry=Retry(attempts=2, backoff=0))(behaviours.crash)
    rain.post("/later/{name}")(behaviours.later)
    rain.post("/recoveries/{name}")(behaviours.recover)
    rain.post("/uploads/{name}")(behaviours.upload_again)
    rain.post("/looks")(behaviours.look)
    rain.get("/numbers/{number}")(behaviours.find)
    rain.post("/guarded", kind="guarded", dependencies=[Depends(permission)])(behaviours.look)


# --- applications -------------------------------------------------------------------------------------------------


async def rendered(_: Request, error: Exception) -> JSONResponse:
    """Render errors in the application's own way, which forgets the exception's headers."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"application": error.detail}, error.status_code, headers={"X-Rendered-By": "application"})


class Announced:
    """Names the process that answers, and tells of requests that carry ``X-Mark`` as they arrive."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        for name, value in scope["headers"]:
            if name == b"x-mark":
                behaviours.tell(value.decode())

        async def named(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-process", b"%d" % os.getpid())]
            await send(message)

        await self._app(scope, receive, named)


async def caller(x_caller: Annotated[str | None, Header()] = None) -> str:
    """Let the caller say who it is, as only a test may."""
    if x_caller is None:
        raise HTTPException(401, detail="who are you?")
    return x_caller


def application(add_operations: Callable[[Raincheck], None], **options: Any) -> FastAPI:
    """Return an application with operations."""
    app = FastAPI()
    app.state.rain = Raincheck(app, **{"engine": engine, **options})  # where a worker program finds it
    add_operations(app.state.rain)
    app.add_exception_handler(HTTPException, rendered)
    app.add_middleware(Announced)

    @app.get("/process")
    async def process() -> int:
        return os.getpid()

    return app


def mounted() -> FastAPI:
    """Return an application with another one mounted in it, each with its own operations."""

    def add_operations(rain: Raincheck) -> None:
        rain.post("/reports")(behaviours.build_report)

    alone = Settings(store="memory:", engine="embedded")
    inner = application(add_operations, owner=caller, prefix="/v1", settings=alone, engine=None)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with inner.router.lifespan_context(inner):
            yield

    outer = FastAPI(lifespan=lifespan)
    add_operations(Raincheck(outer, owner=caller, settings=alone))
    outer.mount("/inner", inner)

    @outer.get("/process")
    async def process() -> int:
        return os.getpid()

    return outer


def hasty() -> FastAPI:
    """Return an application that counts tenths of seconds where others count seconds and minutes."""
    streams.PING_EVERY = 0.2
    streams.LONGEST_STREAM = 2.0
    websocket.LONGEST_STREAM = 2.0
    websocket._INIT_WITHIN = 0.5
    tickets._FIRST_USE = timedelta(seconds=0.5)
    tickets._AFTER_CLOSE = timedelta(seconds=0.5)
    return application(add_few, owner=caller)


def calling(*, handshake: bool = False, delay: float = 0.1) -> FastAPI:
    """Return an application that sends webhooks to the test's receiver, and tries again after so many seconds."""
    delivery_rules.DELAYS = (timedelta(0), *[timedelta(seconds=delay)] * 9)
    receiver, secret = os.environ["CONTRACT_RECEIVER"], os.environ["CONTRACT_SECRET"]
    return application(
        add_all,
        owner=caller,
        callbacks=Callbacks(
            secret=secret, allow=(receiver, "https://*.example.com"), private_networks=True, handshake=handshake
        ),
        webhooks=(
            Webhook(
                url=f"{receiver}/all?token=1",
                secret=secret,
                events=("operation.failed", "operation.cancelled"),
                private_networks=True,
            ),
        ),
        public_url="https://public.example/api/",
    )


# Made at import, since the children of the process executor find operations by importing this module.
match os.environ.get("CONTRACT_APPLICATION"):
    case "owned":
        app = application(add_all, owner=caller)
    case "few":
        app = application(add_few, owner=caller)
    case "unowned":
        app = application(add_few)
    case "hasty":
        app = hasty()
    case "calling":
        app = calling()
    case "calling-slowly":
        app = calling(delay=2.0)
    case "asking":
        app = calling(handshake=True)
    case "mounted":
        app = mounted()
    case other:
        raise LookupError(other)
