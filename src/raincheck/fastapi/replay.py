"""A stored request, validated again at the run by FastAPI itself.

A private router holds one route per set of path parameter names, with the function's own request parameters. FastAPI's
rules of aliases, models, embedding and content types therefore apply by construction; nothing is imitated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Body, Depends, Form, HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.routing import APIRoute
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from raincheck.core.errors import InputMismatch
from raincheck.fastapi.mismatch import safe_text
from raincheck.fastapi.signature import Plan, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, MutableMapping, Sequence

_EXCHANGE = "raincheck.replay"
_REQUEST = "raincheck_replayed_request"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteForm:
    """What decides how FastAPI reads the parameters of a function on one of its routes.

    :param path: names of the path parameters.
    :param others: whether parameters of dependencies widen the body, so that the function's only body parameter is read
        from a key of its own instead of the whole body: ``"json"``, ``"form"`` or not at all.
    """

    path: tuple[str, ...] = ()
    others: str | None = None


@dataclass(slots=True, kw_only=True)
class StoredRequest:
    """A request as the store kept it. ``values`` is what FastAPI made of it."""

    route: RouteForm
    path: dict[str, Any]
    query: Sequence[tuple[str, str]] = ()
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    form: FormData = field(default_factory=FormData)
    values: dict[str, Any] = field(default_factory=dict)


class Replay:
    """The private router of one operation function. Routes are built when they are first needed."""

    def __init__(self, plan: Plan) -> None:
        self._endpoint = _endpoint(plan)
        self._routes: dict[RouteForm, APIRoute] = {}
        self._apps: dict[RouteForm, AsyncExitStackMiddleware] = {}

    def route(self, form: RouteForm) -> APIRoute:
        """Return FastAPI's reading of the parameters on such a route."""
        if form not in self._routes:
            self._build(form)
        return self._routes[form]

    async def validate(self, stored: StoredRequest) -> dict[str, Any]:
        """Return the validated values of a stored request.

        :raises InputMismatch: today's code refuses it.
        """
        if stored.route not in self._apps:
            self._build(stored.route)
        try:
            await self._apps[stored.route](_scope(stored), _receiver(stored.body), _ignore)
        except RequestValidationError as error:
            raise InputMismatch(safe_text(error.errors())) from error
        except HTTPException as error:
            msg = f"the stored request cannot be read: {error.detail}"
            raise InputMismatch(msg) from error
        return stored.values

    def _build(self, form: RouteForm) -> None:
        router = APIRouter(route_class=_ReplayRoute)
        template = "/" + "/".join(f"{{{name}}}" for name in form.path)
        others = {None: [], "json": [Depends(_other_json)], "form": [Depends(_other_form)]}[form.others]
        router.add_api_route(template, self._endpoint, methods=["POST"], dependencies=others, response_model=None)
        (route,) = router.routes
        assert isinstance(route, APIRoute)
        self._routes[form] = route
        self._apps[form] = AsyncExitStackMiddleware(router)


async def _other_json(raincheck_other: Annotated[Any, Body()] = None) -> None:
    """Stand for the body parameters of dependencies that ran at the request."""


async def _other_form(raincheck_other: Annotated[str | None, Form()] = None) -> None:
    """Stand for the form fields of dependencies that ran at the request."""


def _endpoint(plan: Plan) -> Callable[..., Coroutine[Any, Any, Response]]:
    async def endpoint(**values: Any) -> Response:
        exchange: StoredRequest = values.pop(_REQUEST).scope[_EXCHANGE]
        exchange.values = values
        return Response()

    fields = [parameter.for_request() for parameter in plan.of(Role.FIELD)]
    request = Parameter(_REQUEST, Parameter.KEYWORD_ONLY, annotation=Request)
    endpoint.__signature__ = Signature([*fields, request])  # type: ignore[attr-defined]
    return endpoint


class _ReplayedRequest(Request):
    """Gives converted path values and stored form fields where a real request would parse bytes."""

    @property
    def path_params(self) -> dict[str, Any]:
        """Return the values as the route of the request converted them."""
        exchange: StoredRequest = self.scope[_EXCHANGE]
        return exchange.path

    async def form(self, **_limits: Any) -> FormData:  # type: ignore[override]
        """Return the stored form; FastAPI awaits it and never enters it."""
        exchange: StoredRequest = self.scope[_EXCHANGE]
        return exchange.form


class _ReplayRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def replayed(request: Request) -> Response:
            return await handle(_ReplayedRequest(request.scope, request.receive))

        return replayed


def _scope(stored: StoredRequest) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "POST",
        "path": "/" + "/".join("-" for _ in stored.route.path),
        "root_path": "",
        "query_string": urlencode(stored.query).encode(),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in stored.headers],
        _EXCHANGE: stored,
    }


def _receiver(body: bytes) -> Callable[[], Coroutine[Any, Any, dict[str, Any]]]:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _ignore(message: MutableMapping[str, Any]) -> None:
    """Drop the response; the values are what the replay is for."""
