"""The decorators: a slow function becomes an operation route."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from raincheck.fastapi.registration import Registry, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from fastapi import FastAPI

    from raincheck.core.retry import Retry

F = TypeVar("F", bound="Callable[..., Any]")


class OperationOptions(TypedDict, total=False):
    """What the decorators take beside every argument of FastAPI's own.

    ``timeout`` limits one run; ``wait`` is how long the server waits before it answers 202 to a client that states
    no preference; ``max_losses`` is how many lost workers end the operation; ``retention`` is at least 24 hours.
    """

    kind: str
    executor: str
    retry: Retry
    timeout: timedelta | float | str
    wait: timedelta | float | str
    max_losses: int
    retention: timedelta | float | str
    memory_limit: int | str
    queue: str
    priority: int


class OperationRouter(APIRouter):
    """An APIRouter whose decorators make operations, for feature modules: ``app.include_router(it)``.

    ``add_api_route`` and ``api_route`` stay FastAPI's own, for ordinary routes beside them.
    """

    def __init__(self, registry: Registry, **options: Any) -> None:  # noqa: ANN401 - FastAPI's own options
        super().__init__(**options)
        self._registry = registry

    def get(self, path: str, **options: Any) -> Callable[[F], F]:  # type: ignore[override]  # noqa: ANN401
        """Make a GET operation; browsers and crawlers prefetch GET routes, so prefer POST."""
        return operation_decorator(self, self._registry, "GET", path, options)

    def post(self, path: str, **options: Any) -> Callable[[F], F]:  # type: ignore[override]  # noqa: ANN401
        """Make a POST operation."""
        return operation_decorator(self, self._registry, "POST", path, options)

    def put(self, path: str, **options: Any) -> Callable[[F], F]:  # type: ignore[override]  # noqa: ANN401
        """Make a PUT operation."""
        return operation_decorator(self, self._registry, "PUT", path, options)

    def patch(self, path: str, **options: Any) -> Callable[[F], F]:  # type: ignore[override]  # noqa: ANN401
        """Make a PATCH operation."""
        return operation_decorator(self, self._registry, "PATCH", path, options)

    def delete(self, path: str, **options: Any) -> Callable[[F], F]:  # type: ignore[override]  # noqa: ANN401
        """Make a DELETE operation."""
        return operation_decorator(self, self._registry, "DELETE", path, options)


def operation_decorator(
    target: FastAPI | APIRouter,
    registry: Registry,
    method: str,
    path: str,
    options: dict[str, Any],
) -> Callable[[F], F]:
    """Return the decorator that registers a function and gives it back unchanged, directly callable."""

    def decorate(function: F) -> F:
        prepared = prepare(function, registry=registry, path=path, options=options)
        submitter = prepared.submitter

        async def endpoint(**values: Any) -> Response:  # noqa: ANN401 - FastAPI passes the declared parameters
            request: Request = values["raincheck_request"]
            response: Response = values["raincheck_response"]
            owner: str = values.get("raincheck_owner", "")
            return await submitter.accept(request, values, owner=owner, response=response)

        extra = reserved_parameters(registry.owner_annotation)
        prepared.plan.dress(endpoint, extra)
        target.add_api_route(path, endpoint, methods=[method], **prepared.route_options)
        return function

    return decorate


def reserved_parameters(owner: Any | None) -> Sequence[inspect.Parameter]:  # noqa: ANN401 - an Annotated type
    """Return what a route takes beside the function's own parameters."""
    kind = inspect.Parameter.KEYWORD_ONLY
    found = [
        inspect.Parameter("raincheck_request", kind, annotation=Request),
        inspect.Parameter("raincheck_response", kind, annotation=Response),
    ]
    if owner is not None:
        found.append(inspect.Parameter("raincheck_owner", kind, annotation=owner))
    return found
