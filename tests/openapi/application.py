"""Applications with one kind of each sort, whose OpenAPI document is examined, fuzzed and generated from."""

from __future__ import annotations

import asyncio
import os
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Form, HTTPException, Query, UploadFile
from fastapi import Path as InPath
from fastapi.responses import FileResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from raincheck import Callbacks, OperationContext, OperationFailed, Raincheck, Webhook

TOKEN = "an-open-secret"
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
bearer = HTTPBearer()


def caller(given: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> str:
    """Return who calls."""
    if given.credentials != TOKEN:
        raise HTTPException(401, "This token is not known.", {"WWW-Authenticate": "Bearer"})
    return "tester"


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def number_only(value: Any) -> Any:
    """Refuse what `int` also takes, and its JSON schema does not say: true and "1". 1.0 is an integer in both."""
    if isinstance(value, (bool, str)):
        raise ValueError("this is not a number")  # noqa: TRY004 - Pydantic wants a ValueError
    return value


class ReportRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    pages: Annotated[int, Field(ge=1, le=500), BeforeValidator(number_only)]
    title: Annotated[str, Field(min_length=1, max_length=40)]


class Chapter(BaseModel):
    name: str
    pages: int


class Report(BaseModel):
    title: str
    pages: int
    chapters: list[Chapter]
    subtitle: str | None = None


def application(*, store: str, owned: bool, prefix: str | None = None) -> FastAPI:
    """Return an application with every sort of kind."""
    app = FastAPI(title="Every sort of kind", version="1")
    rain = Raincheck(
        app,
        store=store,
        prefix=prefix,
        owner=caller if owned else None,
        # Names of this domain never resolve (RFC 6761), so nobody is called.
        callbacks=Callbacks(secret=SECRET, allow=("https://*.hooks.invalid",)),
        webhooks=[Webhook(url="https://all.hooks.invalid/", secret=SECRET)],
        public_url="https://api.example.com",
    )
    add_kinds(rain)
    return app


def add_kinds(rain: Raincheck) -> None:
    @rain.post("/reports")
    async def create_report(order: ReportRequest) -> Report:
        """Take a JSON body, give a model."""
        await asyncio.sleep(0)
        return Report(title=order.title, pages=order.pages, chapters=[Chapter(name="One", pages=order.pages)])

    @rain.post("/shelves/{shelf}/counts", wait="200ms")
    def count_books(
        shelf: Annotated[int, InPath(ge=0, le=2**31)],
        colour: Colour | None = None,
        least: Annotated[int, Query(ge=0, le=100)] = 0,
    ) -> int:
        """Take path and query parameters, give a primitive, and wait by default."""
        return shelf + least + len(colour or "")

    @rain.get("/shelves/{shelf}/titles")
    def list_titles(shelf: Annotated[str, InPath(pattern="^[a-z]{1,20}$")]) -> list[Report]:
        """Be a GET operation that gives a list."""
        return [Report(title=shelf, pages=1, chapters=[])]

    @rain.post("/pictures")
    def store_picture(picture: UploadFile) -> dict[str, int]:
        """Take an upload, give a dict."""
        return {"bytes": len(picture.file.read())}

    @rain.post("/labels", status_code=201)
    def print_label(
        text: Annotated[str, Form(min_length=1, max_length=200)],
        copies: Annotated[int, Form(ge=1, le=9)],
    ) -> None:
        """Take a form, give nothing."""

    @rain.put("/exports/{name}", response_class=FileResponse)
    def export(name: Annotated[str, InPath(pattern="^[a-z]{1,20}$")]) -> FileResponse:
        """Give a file."""
        handle, file = tempfile.mkstemp(suffix=".txt")
        os.write(handle, name.encode() * 10)
        os.close(handle)
        return FileResponse(Path(file), media_type="text/plain", filename=f"{name}.txt")

    @rain.post("/refusals")
    async def refuse(status: Annotated[int, Query(ge=402, le=418)] = 418) -> Report:
        """Fail on purpose: even statuses with an HTTPException, odd ones with a problem."""
        if status % 2:
            raise OperationFailed(code="out-of-ink", title="Out of ink", status=status)
        raise HTTPException(status, "no")

    @rain.post("/naps")
    async def nap(op: OperationContext, seconds: Annotated[float, Query(ge=0, le=1)] = 0.5) -> None:
        """Take a while, so that there is something to cancel."""
        await asyncio.sleep(seconds)
        op.progress(1, 1)
