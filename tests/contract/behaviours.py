"""Every way in which an operation can behave.

Operations that take a ``name`` go by signals, files in the folder ``CONTRACT_SIGNALS``: they leave ``<name>.started``
when they begin and wait until the file ``<name>`` appears, so that no test sleeps for luck.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Annotated, Any

from fastapi import Form, HTTPException, Response, UploadFile
from fastapi.responses import FileResponse, PlainTextResponse
from hostile import FORGED, TEXTS
from pydantic import BaseModel, Field

from raincheck import OperationContext, OperationFailed, RetryLater

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


async def held(name: str) -> dict[str, str]:
    await signalled(name)
    return {"name": name}


def held_in_thread(name: str, op: OperationContext) -> dict[str, str]:
    tell(f"{name}.started")
    while not given(name):
        op.raise_if_cancelled()
        time.sleep(TICK)
    return {"name": name}


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
