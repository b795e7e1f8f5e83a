"""The binding of one operation function: from request to stored input, to arguments, to result."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import UUID

from starlette.datastructures import FormData
from starlette.responses import Response

from raincheck.core.errors import InputMismatch
from raincheck.fastapi.explanation import explain
from raincheck.fastapi.rendering import ResultOptions, ResultRendering
from raincheck.fastapi.replay import Replay, RouteForm, StoredRequest
from raincheck.fastapi.signature import Plan, Role, analyse
from raincheck.fastapi.stored_form import close_files, restore_form
from raincheck.fastapi.stored_input import VERSION, InputCapture
from raincheck.fastapi.worker_steps import Resolution
from raincheck.own_threads import in_own_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AsyncExitStack
    from pathlib import Path

    from raincheck.context import OperationContext
    from raincheck.core.operation import Problem
    from raincheck.core.outcome import Returned


def bind(function: Callable[..., Any], *, executor: str, options: ResultOptions | None = None) -> FunctionBinding:
    """Analyse a function and return its binding.

    :param executor: ``async``, ``thread`` or ``process``.
    :param options: what the decorator said about the result.
    :raises DefinitionError: the function cannot be an operation; the message names the remedy.
    """
    plan = analyse(function, executor=executor)
    return FunctionBinding(plan=plan, rendering=ResultRendering.of(plan, options or ResultOptions()))


class StoredArguments(dict[str, Any]):
    """Arguments read from a stored request, with the files that were opened for them."""

    files: FormData = FormData()


@dataclass(frozen=True, kw_only=True)
class FunctionBinding:
    """Implements ``raincheck.ports_functions.Binding`` for FastAPI path operation functions. Cheap until first used."""

    plan: Plan
    rendering: ResultRendering

    @property
    def result_model(self) -> Any:
        """The type of the result, None where any value or a ``Response`` is returned."""
        return self.rendering.model

    @cached_property
    def _replay(self) -> Replay:
        return Replay(self.plan)

    @cached_property
    def inputs(self) -> InputCapture:
        """What stores the requests of the function."""
        return InputCapture(self.plan, self._replay)

    async def arguments(self, stored: str, files: Mapping[str, Path]) -> dict[str, Any]:
        """Validate a stored request with the function's own signature.

        :raises InputMismatch: today's code refuses it, or a file is missing.
        """
        record = json.loads(stored)
        if record.get("v") != VERSION:
            msg = f"the request was stored in layout {record.get('v')}, this release reads {VERSION}"
            raise InputMismatch(msg)
        try:
            request = await _restored(record, files)
        except (KeyError, FileNotFoundError) as error:
            msg = "a file of the stored request is missing"
            raise InputMismatch(msg) from error
        arguments = StoredArguments()
        arguments.files = request.form
        try:
            arguments.update(await self._replay.validate(request))
            for parameter in self.plan.of(Role.DEPENDS):
                assert parameter.stored is not None
                arguments[parameter.name] = parameter.stored.load(record["depends"][parameter.name])
        except BaseException:
            close_files(request.form)
            raise
        return arguments

    async def resolve(
        self,
        arguments: Mapping[str, Any],
        *,
        context: OperationContext,
        stack: AsyncExitStack,
        run_sync: Callable[..., Awaitable[Any]],
        app: object | None,
    ) -> dict[str, Any]:
        """Add what exists only at the run; files and dependencies are closed by ``stack``."""
        if isinstance(arguments, StoredArguments):
            stack.callback(close_files, arguments.files)
        found = dict(arguments)
        resolution = Resolution(context=context, stack=stack, run_sync=run_sync, app=app)
        for parameter in self.plan.parameters:
            match parameter.role:
                case Role.CONTEXT:
                    found[parameter.name] = context
                case Role.RESPONSE:
                    found[parameter.name] = _fresh_response()
                case Role.WORKER:
                    assert parameter.step is not None
                    found[parameter.name] = await resolution.value(parameter.step)
        return found

    def render(self, value: object, arguments: Mapping[str, Any], *, staging: Callable[[], Path]) -> Returned:
        """Return the value as FastAPI would send it.

        :raises ResultMismatch: the value does not match the declared type, or cannot be kept.
        """
        fresh = next((arguments[parameter.name] for parameter in self.plan.of(Role.RESPONSE)), None)
        return self.rendering.render(value, fresh, staging=staging)

    def render_blocks(self, value: object) -> bool:
        """Whether rendering copies a file."""
        return self.rendering.copies_file(value)

    def explain(self, exception: BaseException) -> Problem | None:
        """Return the problem of an exception raised on purpose."""
        return explain(exception)


async def _restored(record: Mapping[str, Any], files: Mapping[str, Path]) -> StoredRequest:
    path = {name: _converted(value) for name, value in record.get("path", {}).items()}
    headers = [(name, value) for name, value in record.get("headers", ()) if name != "content-type"]
    if "type" in record:
        headers.append(("content-type", record["type"]))
    request = StoredRequest(
        route=RouteForm(path=tuple(path), others=record.get("others")),
        path=path,
        query=[(name, value) for name, value in record.get("query", ())],
        headers=headers,
    )
    if "blob" in record:
        request.body = await in_own_thread(files[record["blob"]].read_bytes)
    elif "base64" in record:
        request.body = base64.b64decode(record["base64"])
    else:
        request.body = record.get("body", "").encode()
    items = record.get("form", ())
    if "form_blob" in record:
        items = json.loads(await in_own_thread(files[record["form_blob"]].read_bytes))
    request.form = restore_form(items, files)
    return request


def _converted(value: Any) -> Any:
    return UUID(value["uuid"]) if isinstance(value, dict) else value


def _fresh_response() -> Response:
    """Return what FastAPI hands to a ``Response`` parameter: nothing but what the function sets on it."""
    response = Response()
    del response.headers["content-length"]
    response.status_code = None  # type: ignore[assignment]
    return response
