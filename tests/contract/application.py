"""The application that the contract tests serve: every way in which an operation can behave.

Operations that take a ``name`` go by signals, files in the folder ``CONTRACT_SIGNALS``: they leave ``<name>.started``
when they begin and wait until the file ``<name>`` appears, so that no test sleeps for luck.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Form, Header, HTTPException, Request, Response, UploadFile
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from hostile import FORGED, TEXTS
from pydantic import BaseModel, Field

from raincheck import (
    Callbacks,
    OperationContext,
    OperationFailed,
    Raincheck,
    Retry,
    RetryLater,
    Settings,
    Webhook,
)
from raincheck.core import delivery_rules
from raincheck.fastapi import streams, tickets, websocket

SIGNALS = Path(os.environ.get("CONTRACT_SIGNALS", "."))
TICK = 0.01


class Order(BaseModel):
    pages: int = Field(ge=1, le=1_000_000)
    title: str = ""


class Report(BaseModel):
    pages: int
    title: str


class Seen(BaseModel):
    """What the function saw of its operation."""

    metadata: dict[str, str]
    attempt: int
    run: int
    idempotency_key: str | None
    owner: str


# --- signals ------------------------------------------------------------------------------------------------------


def given(name: str) -> bool:
    """Whether the test gave the signal."""
    return (SIGNALS / name).exists()


def tell(name: str) -> None:
    """Tell the test."""
    (SIGNALS / name).touch()


async def signalled(name: str) -> None:
    """Wait for the test's signal on the loop."""
    tell(f"{name}.started")
    while not given(name):
        await asyncio.sleep(TICK)


# --- operations ---------------------------------------------------------------------------------------------------


async def build_report(order: Order) -> Report:
    return Report(pages=order.pages, title=order.title)


def build_in_thread(order: Order) -> Report:
    return Report(pages=order.pages, title=order.title)


def build_in_process(order: Order) -> Report:
    return Report(pages=order.pages, title=order.title)


async def held(name: str) -> dict[str, str]:
    await signalled(name)
    return {"name": name}


def held_in_thread(name: str, op: OperationContext) -> dict[str, str]:
    tell(f"{name}.started")
    while not given(name):
        op.raise_if_cancelled()
        time.sleep(TICK)
    return {"name": name}


def held_in_process(name: str, op: OperationContext) -> dict[str, str]:
    return held_in_thread(name, op)


def stubborn(name: str) -> dict[str, str]:
    """Go on whatever is asked; return in the end."""
    tell(f"{name}.started")
    while not given(name):
        time.sleep(TICK)
    return {"name": name}


def stubborn_failure(name: str) -> None:
    """Go on whatever is asked; fail in the end."""
    stubborn(name)
    raise ValueError(name)


async def steps(name: str, op: OperationContext) -> dict[str, int]:
    """Tell of one more step whenever the test gives its signal."""
    for number in range(1, 4):
        await signalled(f"{name}-{number}")
        op.progress(number, 3, message=f"step {number}")
    await signalled(name)
    return {"steps": 3}


async def story(name: str, op: OperationContext) -> dict[str, int]:
    """Tell a reader something of every type whenever the test gives its signal."""
    for number in range(1, 4):
        await signalled(f"{name}-{number}")
        op.emit({"part": number})
        op.log(f"part {number}", "warning")
        op.progress(number, 3, message=f"part {number}")
        await op.drain()
    await signalled(name)
    return {"parts": 3}


async def texts(op: OperationContext) -> dict[str, str]:
    """Say what could forge a frame, as output, log line, progress and result."""
    for text in TEXTS.values():
        op.emit({"text": text})
        op.log(text)
        await op.drain()
    op.progress(fraction=0.5, message=FORGED)
    return {"text": FORGED}


def texts_in_process(op: OperationContext) -> None:
    """Say the same from a child process."""
    for text in TEXTS.values():
        op.emit({"text": text})


def flood(name: str, chunks: int, op: OperationContext) -> int:
    """Emit 64 KiB many times once the test gives its signal."""
    tell(f"{name}.started")
    while not given(name):
        time.sleep(TICK)
    for number in range(chunks):
        op.emit({"number": number, "text": "x" * (64 << 10)})
    return chunks


async def refuse() -> None:
    """Fail on purpose, as an ordinary endpoint does."""
    headers = {"X-Reason": "tea", "Set-Cookie": "secret=1", "Connection": "close"}
    raise HTTPException(418, detail={"reason": "teapot"}, headers=headers)


async def run_out() -> None:
    """Fail on purpose, with a problem."""
    raise OperationFailed(code="no-stock", title="Nothing left", status=422, detail="3 missing", extensions={"left": 3})


async def crash() -> None:
    secret = "/srv/secret/place"
    raise RuntimeError(secret)


def crash_in_process() -> None:
    secret = "/srv/secret/place"
    raise RuntimeError(secret)


def die() -> None:
    """End the process that runs this, as the kernel would."""
    os.kill(os.getpid(), signal.SIGKILL)


async def overrun() -> None:
    await asyncio.Event().wait()


async def mismatch() -> Report:
    return {"pages": "many"}  # type: ignore[return-value]


async def greet(response: Response) -> Report:
    response.status_code = 201
    response.headers["X-Greeting"] = "hello"
    response.headers["Connection"] = "close"
    response.headers["Keep-Alive"] = "timeout=5"
    response.set_cookie("session", "secret")
    return Report(pages=1, title="greeting")


async def page() -> Response:
    answer = PlainTextResponse("plain é text\n", status_code=203, headers={"X-Page": "1", "Proxy-Authenticate": "no"})
    answer.set_cookie("session", "secret")
    return answer


async def handmade(text: str) -> Response:
    return Response(text, media_type="application/json")


async def nothing() -> None:
    return None


async def large(size: int) -> dict[str, str]:
    return {"text": "x" * size}


async def download(size: int) -> FileResponse:
    file = SIGNALS / f"download-{size}"
    file.write_bytes(bytes(range(256)) * (size // 256))
    return FileResponse(file, media_type="application/x-bytes", filename="numbers.bin")


async def unsteady(op: OperationContext) -> dict[str, int]:
    """Fail twice."""
    if op.attempt < 3:
        msg = "not yet"
        raise ConnectionError(msg)
    return {"attempt": op.attempt}


async def later(name: str, op: OperationContext) -> dict[str, int]:
    """Ask to be run again until the test gives its signal."""
    tell(f"{name}.started")
    if not given(name):
        raise RetryLater(after=0.05)
    return {"attempt": op.attempt, "run": op.run}


async def recover(name: str) -> dict[str, str]:
    """Fail until the test gives its signal."""
    if not given(name):
        raise HTTPException(409, detail="not yet")
    return {"name": name}


async def upload(file: UploadFile, note: Annotated[str, Form()]) -> dict[str, Any]:
    content = await file.read()
    return {"filename": file.filename, "size": len(content), "note": note, "head": content[:5].decode()}


async def upload_again(name: str, file: UploadFile) -> dict[str, Any]:
    """Read the upload once the test gives its signal, and fail before."""
    if not given(name):
        raise HTTPException(409, detail="not yet")
    return {"filename": file.filename, "size": len(await file.read())}


async def echo(request_body: dict[str, Any]) -> dict[str, Any]:
    return request_body


async def look(op: OperationContext) -> Seen:
    return Seen(
        metadata=dict(op.metadata),
        attempt=op.attempt,
        run=op.run,
        idempotency_key=op.idempotency_key,
        owner=op.owner,
    )


async def find(number: int, flag: bool = False) -> dict[str, Any]:
    return {"number": number, "flag": flag}


async def permission(x_permission: Annotated[str | None, Header()] = None) -> None:
    if x_permission != "yes":
        raise HTTPException(403, detail="no permission")


def add_few(rain: Raincheck) -> None:
    """Register what every server has; a server with few operations starts sooner."""
    rain.post("/reports")(build_report)
    rain.post("/held/{name}")(held)
    rain.post("/held-threads/{name}")(held_in_thread)
    rain.post("/held-processes/{name}", executor="process")(held_in_process)
    rain.post("/uploads")(upload)
    rain.post("/echoes")(echo)
    rain.post("/stories/{name}")(story)
    rain.post("/floods/{name}")(flood)


def add_all(rain: Raincheck) -> None:
    """Register every operation."""
    add_few(rain)
    rain.post("/threads")(build_in_thread)
    rain.post("/processes", executor="process")(build_in_process)
    rain.post("/waiting/{name}", kind="waiting", wait="20s")(held)
    rain.post("/stubborn/{name}")(stubborn)
    rain.post("/stubborn-failures/{name}", retry=Retry(attempts=3, backoff=0))(stubborn_failure)
    rain.post("/steps/{name}")(steps)
    rain.post("/texts")(texts)
    rain.post("/process-texts", executor="process")(texts_in_process)
    rain.post("/refusals")(refuse)
    rain.post("/shortages")(run_out)
    rain.post("/crashes")(crash)
    rain.post("/process-crashes", executor="process")(crash_in_process)
    rain.post("/deaths", executor="process", max_losses=1)(die)
    rain.post("/overruns", timeout="200ms")(overrun)
    rain.post("/endless", kind="endless")(overrun)
    rain.post("/mismatches")(mismatch)
    rain.post("/greetings")(greet)
    rain.post("/pages")(page)
    rain.post("/handmade")(handmade)
    rain.post("/nothing", status_code=204)(nothing)
    rain.post("/large/{size}")(large)
    rain.post("/downloads/{size}")(download)
    rain.post("/unsteady", retry=Retry(attempts=3, backoff=0.01))(unsteady)
    rain.post("/exhausted", kind="exhausted", retry=Retry(attempts=2, backoff=0))(crash)
    rain.post("/later/{name}")(later)
    rain.post("/recoveries/{name}")(recover)
    rain.post("/uploads/{name}")(upload_again)
    rain.post("/looks")(look)
    rain.get("/numbers/{number}")(find)
    rain.post("/guarded", kind="guarded", dependencies=[Depends(permission)])(look)


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
                tell(value.decode())

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
    app.state.rain = Raincheck(app, **options)  # where a worker program finds it
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
        rain.post("/reports")(build_report)

    inner = application(add_operations, owner=caller, prefix="/v1", settings=Settings(store="memory:"))

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with inner.router.lifespan_context(inner):
            yield

    outer = FastAPI(lifespan=lifespan)
    add_operations(Raincheck(outer, owner=caller, store="memory:"))
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


def calling(*, handshake: bool = False) -> FastAPI:
    """Return an application that sends webhooks to the test's receiver, and tries again within tenths of seconds."""
    delivery_rules.DELAYS = (timedelta(0), *[timedelta(seconds=0.1)] * 9)
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
    case "asking":
        app = calling(handshake=True)
    case "mounted":
        app = mounted()
    case other:
        raise LookupError(other)
