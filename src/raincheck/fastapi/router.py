"""The decorators: a slow function becomes an operation route."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from raincheck.core.errors import DefinitionError
from raincheck.fastapi.guards import has_guarding_parameter
from raincheck.fastapi.registration import Registry, prepare, said_for_all
from raincheck.fastapi.submit_route import SubmitRoute

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta
    from enum import Enum

    from fastapi import params
    from starlette.routing import BaseRoute

    from raincheck.core.retry import Retry

F = TypeVar("F", bound="Callable[..., Any]")


class RouteOptions(TypedDict, total=False):
    """FastAPI's own arguments. Those about the response describe the result; the 202 is added."""

    response_model: Any
    status_code: int | None
    tags: list[str | Enum] | None
    dependencies: Sequence[params.Depends] | None
    summary: str | None
    description: str | None
    response_description: str
    responses: dict[int | str, dict[str, Any]] | None
    deprecated: bool | None
    operation_id: str | None
    response_model_include: Any
    response_model_exclude: Any
    response_model_by_alias: bool
    response_model_exclude_unset: bool
    response_model_exclude_defaults: bool
    response_model_exclude_none: bool
    include_in_schema: bool
    response_class: type[Response]
    name: str | None
    callbacks: list[BaseRoute] | None
    openapi_extra: dict[str, Any] | None
    generate_unique_id_function: Callable[[APIRoute], str]
    max_body_size: int | None
    form_limits: Any


class OperationOptions(RouteOptions, total=False):
    """What the decorators take: every argument of FastAPI's own, and how the operation runs.

    ``timeout`` limits one run; ``wait`` is how long the server waits before it answers 202 to a client that states
    no preference; ``max_losses`` is how many lost workers end the operation; ``retention`` is at least 24 hours.
    """

    kind: str
    executor: Literal["async", "thread", "process"]
    retry: Retry
    timeout: timedelta | float | str | None
    wait: timedelta | float | str
    max_losses: int
    retention: timedelta | float | str
    memory_limit: int | str | None
    queue: str
    priority: int


class OperationRouter(APIRouter):
    """An APIRouter whose decorators make operations, for feature modules: ``app.include_router(it)``.

    ``add_api_route`` and ``api_route`` stay FastAPI's own, for ordinary routes beside them.
    """

    def __init__(self, registry: Registry, **options: Any) -> None:
        super().__init__(**options)
        self._registry = registry

    def get(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[F], F]:
        """Make a GET operation; browsers and crawlers prefetch GET routes, so prefer POST."""
        return operation_decorator(self, self._registry, "GET", path, dict(options))

    def post(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[F], F]:
        """Make a POST operation."""
        return operation_decorator(self, self._registry, "POST", path, dict(options))

    def put(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[F], F]:
        """Make a PUT operation."""
        return operation_decorator(self, self._registry, "PUT", path, dict(options))

    def patch(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[F], F]:
        """Make a PATCH operation."""
        return operation_decorator(self, self._registry, "PATCH", path, dict(options))

    def delete(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[F], F]:
        """Make a DELETE operation."""
        return operation_decorator(self, self._registry, "DELETE", path, dict(options))


def operation_decorator(
    target: APIRouter,
    registry: Registry,
    method: str,
    path: str,
    options: dict[str, Any],
) -> Callable[[F], F]:
    """Return the decorator that registers a function and gives it back unchanged, directly callable.

    :raises DefinitionError: the path is none.
    """
    if not isinstance(path, str):
        shown = getattr(path, "__qualname__", repr(path))
        msg = f"{shown} stands where a path belongs. Write the decorator with its path: @rain.{method.lower()}('/…')."
        raise DefinitionError(msg)

    def decorate(function: F) -> F:
        prepared = prepare(function, registry=registry, options={**said_for_all(target, function), **options})
        own = target if isinstance(target, OperationRouter) else None  # an application's dependencies guard all routes
        if options.get("dependencies") or (own and own.dependencies) or has_guarding_parameter(prepared.plan):
            registry.guarded.append(f"{prepared.plan.name} ({own.prefix if own else ''}{path})")
        submitter = prepared.submitter

        async def endpoint(**values: Any) -> Response:
            request: Request = values["raincheck_request"]
            response: Response | None = values["raincheck_response"]
            owner: str = values.get("raincheck_owner", "")
            return await submitter.accept(request, values, owner=owner, response=response)

        extra = reserved_parameters(registry.owner_annotation)
        prepared.plan.dress(endpoint, extra)
        chosen = SubmitRoute if target.route_class is APIRoute else target.route_class
        target.add_api_route(path, endpoint, methods=[method], route_class_override=chosen, **prepared.route_options)
        registry.add(prepared.kind)  # only now: FastAPI may refuse the route, and the corrected one keeps its name
        return function

    return decorate


def reserved_parameters(owner: Any | None) -> Sequence[inspect.Parameter]:
    """Return what a route takes beside the function's own parameters."""
    kind = inspect.Parameter.KEYWORD_ONLY
    found = [
        inspect.Parameter("raincheck_request", kind, annotation=Request),
        inspect.Parameter("raincheck_response", kind, annotation=Response),
    ]
    if owner is not None:
        found.append(inspect.Parameter("raincheck_owner", kind, annotation=owner))
    return found
