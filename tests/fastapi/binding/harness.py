"""One function behind a plain route and behind a capturing route: both must get the same values."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from inspect import Parameter
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from raincheck.context import OperationContext
from raincheck.fastapi.binding import FunctionBinding, bind
from raincheck.fastapi.stored_input import CapturedInput
from raincheck.ports import Blob

REQUEST = Parameter("raincheck_request", Parameter.KEYWORD_ONLY, annotation=Request)


def noted(value: Any) -> Any:
    """Return what can be compared after the request: types, values, contents of uploads."""
    if isinstance(value, UploadFile):
        return ("upload", value.filename, value.size, value.content_type, value.headers.items(), value.file.read())
    if isinstance(value, list | tuple | set):
        return (type(value).__name__, [noted(item) for item in value])
    if isinstance(value, dict):
        return {key: noted(item) for key, item in value.items()}
    if isinstance(value, BaseModel):
        return (type(value).__name__, {name: noted(part) for name, part in value})
    return (type(value).__name__, value)


@dataclass
class Memory:
    """Blobs in a folder, for captures."""

    folder: Path
    files: dict[str, Path] = field(default_factory=dict)

    async def put(self, name, chunks) -> Blob:
        content = b"".join([chunk async for chunk in chunks])
        full = f"op_test/0/{name}"
        self.files[full] = self.folder / name
        self.files[full].write_bytes(content)
        return Blob(full, len(content), hashlib.sha256(content).hexdigest())


@dataclass
class Routes:
    """How a function is registered."""

    path: str = "/run"
    method: str = "POST"
    prefix: str = ""
    dependencies: tuple = ()
    router_dependencies: tuple = ()
    include_dependencies: tuple = ()
    app_options: dict = field(default_factory=dict)

    def client(self, endpoint) -> TestClient:
        app = FastAPI(**self.app_options)
        router = APIRouter(dependencies=list(self.router_dependencies))
        router.add_api_route(
            self.path, endpoint, methods=[self.method], dependencies=list(self.dependencies), response_model=None
        )
        app.include_router(router, prefix=self.prefix, dependencies=list(self.include_dependencies))
        return TestClient(app)


class Operation:
    """A function behind a route that only captures."""

    def __init__(self, function, folder: Path, routes: Routes | None = None, *, executor: str = "thread") -> None:
        self.binding: FunctionBinding = bind(function, executor=executor)
        self.blobs = Memory(folder)
        self.captured: CapturedInput | None = None
        self.values: dict[str, Any] = {}

        async def endpoint(**values: Any) -> Response:
            request = values.pop(REQUEST.name)
            self.values = values
            self.captured = await self.binding.inputs.capture(
                request, values, self.blobs.put, content_type=request.headers.get("content-type")
            )
            return Response(status_code=202)

        self.client = (routes or Routes()).client(self.binding.plan.dress(endpoint, [REQUEST]))

    def send(self, url: str, *, method: str = "POST", **request: Any) -> CapturedInput:
        answer = self.client.request(method, url, **request)
        assert answer.status_code == 202, answer.text
        assert self.captured is not None
        self.captured.stored.encode("ascii")
        assert set(self.captured.files) == set(self.blobs.files)
        return self.captured

    def arguments(self, stored: str | None = None) -> dict[str, Any]:
        """Return the arguments as a fresh process would read them."""
        assert self.captured is not None
        fresh = bind(self.binding.plan.function, executor="thread")
        return asyncio.run(fresh.arguments(stored or self.captured.stored, self.blobs.files))


async def in_thread(call, *args, **keywords):
    """Run sync code the way the thread executor does."""
    return await asyncio.to_thread(call, *args, **keywords)


async def run(binding: FunctionBinding, *, app=None, context=None, arguments=None):
    """Resolve, call and clean up like ``Invocation.perform``."""
    function = binding.plan.function
    async with AsyncExitStack() as stack:
        keywords = await binding.resolve(
            arguments or {},
            context=context or OperationContext(),
            stack=stack,
            run_sync=in_thread,
            app=app,
        )
        if inspect.iscoroutinefunction(function):
            return await function(**keywords)
        return await in_thread(function, **keywords)
