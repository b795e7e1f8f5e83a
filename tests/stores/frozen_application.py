"""The application whose operations lie in the frozen files. Their requests must run in every later release.

So a function here is never renamed and takes no less than it takes now; what is new gets a function of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Form, Header, HTTPException, UploadFile
from fastapi.responses import FileResponse
from pydantic import BaseModel

from raincheck import Callbacks, OperationContext, OperationFailed, Raincheck, Retry

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Order(BaseModel):
    """What to print."""

    pages: int
    title: str = ""


class User(BaseModel):
    """Who asks."""

    name: str
    team: str


class Printed(BaseModel):
    """What came of it, with all that the function was given."""

    sheets: int
    title: str
    tone: str
    team: str


def caller(x_user: Annotated[str, Header()] = "") -> str:
    """Return who owns what the request creates."""
    if not x_user:
        raise HTTPException(401)
    return x_user


def user(x_user: Annotated[str, Header()] = "") -> User:
    """Return a value that is stored with the request."""
    return User(name=x_user, team=f"team of {x_user}")


def application(store: str, *, folder: Path, workers: bool) -> FastAPI:
    """Return the application on a store; the files that it makes go to the folder."""
    app = FastAPI()
    callbacks = Callbacks(secret=SECRET, allow=("*",))
    rain = Raincheck(
        app,
        store=store,
        engine="embedded",  # what is frozen are Raincheck's own tables
        workers=workers,
        owner=caller,
        callbacks=callbacks,
        public_url="http://raincheck.example.com",
    )

    @rain.post("/reports/{paper}", kind="report", retry=Retry(attempts=3), retention="30d")
    async def report(
        paper: Literal["a4", "a5"],
        order: Order,
        op: OperationContext,
        asking: Annotated[User, Depends(user)],
        copies: int = 1,
        x_tone: Annotated[str, Header()] = "plain",
    ) -> Printed:
        op.emit({"run": op.run})
        return Printed(sheets=order.pages * copies, title=f"{order.title} on {paper}", tone=x_tone, team=asking.team)

    @rain.post("/uploads", kind="upload", retention="30d", response_class=FileResponse)
    def upload(title: Annotated[str, Form()], file: UploadFile, op: OperationContext) -> FileResponse:
        result = folder / f"{op.id}.txt"
        result.write_text(f"{title}: {file.file.read().decode()}", encoding="utf-8")
        return FileResponse(result, media_type="text/plain", filename="copy.txt")

    @rain.post("/refusals", kind="refused", retention="30d")
    async def refused(order: Order) -> None:
        raise OperationFailed(code="out-of-paper", title="The printer has no paper", status=409)

    return app
