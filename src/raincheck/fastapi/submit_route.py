"""The route of an operation: FastAPI's own, with a short way for requests that need little of it.

For each request FastAPI prepares what dependencies may need: a response for their headers, and objects of the query,
the headers and the cookies. It does so where there are none, and that is a fifth of what an accept costs. The short way
reads the same values with FastAPI's own fields, for routes without dependencies, and goes on only where all are valid.
Else FastAPI's handler reads the same request, and says what is wrong as everywhere in the application.

Where there are dependencies FastAPI solves them, and validates with them; short is only what surrounds that.
"""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import TYPE_CHECKING, Any

from fastapi import routing
from fastapi.dependencies.utils import request_params_to_args
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from raincheck.fastapi.taken_route import embeds, reads_form, state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Scope

    Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_GIVEN = ("request", "dependant", "dependency_overrides_provider", "async_exit_stack", "embed_body_fields")
_JSON = b"application/json"
_ROUTING = vars(routing)


class SubmitRoute(APIRoute):
    """An APIRoute whose endpoint takes ``raincheck_request`` and ``raincheck_response``, and returns a response."""

    def get_route_handler(self) -> Handler:
        """Return what answers requests inside of FastAPI's stacks and exception handlers; once for each inclusion."""
        whole = super().get_route_handler()
        short = _ShortWay(self, whole)
        return short.handle if short.is_open() else whole


class _ShortWay:
    """A handler that answers by itself what is plain, and all else by FastAPI's.

    :param whole: FastAPI's handler of the route.
    """

    def __init__(self, route: APIRoute, whole: Handler) -> None:
        self._route = route
        self._whole = whole
        self._endpoint = route.endpoint
        self._solve, self._run = _readers()

    def is_open(self) -> bool:
        """Tell whether no tool listens where FastAPI reads requests.

        Sentry, New Relic and Logfire put functions of their own there, and would not hear of what goes past them.
        """
        return all(map(_is_fastapis, (self._whole, self._solve, self._run))) and _takes_what_is_given(self._solve)

    async def handle(self, request: Request) -> Response:
        """Answer a request."""
        state = state_of(self._route, request.scope)
        if not self._is_plain(state, request.scope):
            return await self._whole(request)
        document = None
        if state.body_field is not None:
            document = await _document(request)
            if document is None:
                return await self._whole(request)  # the request keeps the content that was read
        if state.dependant.dependencies:
            return await self._after_dependencies(state, request, document)
        values = _parameters(state.dependant, request)
        if values is None or not _add_body(values, state.body_field, document):
            return await self._whole(request)
        answer: Response = await self._endpoint(raincheck_request=request, raincheck_response=None, **values)
        return answer

    async def _after_dependencies(self, state: Any, request: Request, document: Any) -> Response:
        """Answer after FastAPI has solved the dependencies: as they cannot run twice, its refusal is raised here."""
        body = {} if state.body_field is None else {"body": document}
        solved = await self._solve(
            request=request,
            dependant=state.dependant,
            dependency_overrides_provider=state.dependency_overrides_provider,
            async_exit_stack=request.scope["fastapi_inner_astack"],
            embed_body_fields=False,
            **body,
        )
        if solved.errors:
            place = f"{request.method} {request.scope.get('root_path', '').rstrip('/')}{state.dependant.path}"
            raise RequestValidationError(solved.errors, body=document, endpoint_ctx={"path": place})
        values, tasks = solved.values, solved.background_tasks
        del solved  # the rest is not kept while the submit waits for its commit
        answer: Response = await self._endpoint(**values)
        if answer.background is None:
            answer.background = tasks
        return answer

    def _is_plain(self, state: Any, scope: Scope) -> bool:
        """Tell by all that may change while a route serves, and by the request's head."""
        if state.dependant.call is not self._endpoint:
            return False
        solve, run = _readers()
        if solve is not self._solve or run is not self._run:
            return False
        if scope.get("fastapi.telemetry") is not None:  # FastAPI's handler makes the spans
            return False
        if state.body_field is None:
            return True
        return not (embeds(state) or reads_form(state)) and _is_json(scope["headers"])


def _parameters(dependant: Any, request: Request) -> dict[str, Any] | None:
    """Return the values of all but the body, None where one is refused."""
    found: dict[str, Any] = {}
    for fields, source in (
        (dependant.path_params, "path_params"),
        (dependant.query_params, "query_params"),
        (dependant.header_params, "headers"),
        (dependant.cookie_params, "cookies"),
    ):
        if fields:
            values, errors = request_params_to_args(fields, getattr(request, source))
            if errors:
                return None
            found |= values
    return found


async def _document(request: Request) -> Any:
    """Return what the body says as JSON; None where that is nothing, or for FastAPI to judge."""
    try:
        await request.body()
    except Exception as error:  # noqa: BLE001 - FastAPI meets the same one, and answers it
        request.body = _raising(error)  # type: ignore[method-assign]
        return None
    try:
        return await request.json()  # and not what we read of the body: dependencies are given this very object
    except Exception:  # noqa: BLE001 - FastAPI meets that too; applications put readers of their own in this place
        return None


def _add_body(values: dict[str, Any], field: Any, document: Any) -> bool:
    """Add the value of the body, if the route has one; return whether it is valid."""
    if field is None:
        return True
    values[field.name], errors = field.validate(document, {}, loc=("body",))
    return not errors


def _readers() -> tuple[Any, Any]:
    """Return what FastAPI's handlers call at this moment; None for what a later release may call otherwise."""
    return _ROUTING.get("solve_dependencies"), _ROUTING.get("run_endpoint_function")


def _is_fastapis(function: Any) -> bool:
    """Whether a function was written by FastAPI; one that wraps it copies all its names, but not its globals."""
    return type(function) is FunctionType and str(function.__globals__["__name__"]).startswith("fastapi.")


def _takes_what_is_given(solve: Any) -> bool:
    """Whether dependencies are solved from what is given here: a later release may want more."""
    given = dict.fromkeys((*_GIVEN, "body"))
    try:
        inspect.signature(solve).bind(**given)
    except TypeError:
        return False
    return True


def _is_json(headers: list[tuple[bytes, bytes]]) -> bool:
    for name, value in headers:
        if name == b"content-type":
            return value == _JSON or value.partition(b";")[0].rstrip().lower() == _JSON
    return False


def _raising(error: Exception) -> Callable[[], Coroutine[Any, Any, bytes]]:
    async def body() -> bytes:
        raise error

    return body
