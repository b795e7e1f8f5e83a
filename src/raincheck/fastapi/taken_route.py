"""How FastAPI reads the request at hand: the one place that looks into its route objects.

Routers and ``include_router`` may add dependencies with body parameters after a function was registered, and that
changes how its own body is read. FastAPI decides it per inclusion, in a context that it leaves in the request's scope.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import params
from fastapi.security.base import SecurityBase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi.routing import APIRoute
    from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class TakenRoute:
    """The route that took a request, as included."""

    _state: Any

    @classmethod
    def of(cls, request: Request) -> TakenRoute:
        """Return the route of a request that FastAPI has routed."""
        route = request.scope["route"]
        context = request.scope.get("fastapi", {}).get("effective_route_context")
        return cls(context if getattr(context, "original_route", None) is route else route)

    @property
    def reads_body(self) -> bool:
        """Whether the function or one of its dependencies reads the body."""
        return self._state.body_field is not None

    @property
    def reads_form(self) -> bool:
        """Whether the body was read as a form."""
        return reads_form(self._state)

    @property
    def embeds(self) -> bool:
        """Whether each body parameter is read from a key of its own."""
        return embeds(self._state)

    @property
    def guesses_json(self) -> bool:
        """Whether a body without a content type was read as JSON."""
        strict = self._state.strict_content_type
        return not getattr(strict, "value", strict)

    def credential_keys(self) -> frozenset[str]:
        """Return the query and header keys of the API key schemes among the dependencies, lower case."""
        return frozenset(_credential_keys(self._state.dependant))


def embeds(route: APIRoute | Any) -> bool:
    """Whether a route reads each body parameter from a key of its own."""
    return bool(getattr(route, "_embed_body_fields", False))


def reads_form(route: APIRoute | Any) -> bool:
    """Whether a route reads the body as a form."""
    return route.body_field is not None and isinstance(route.body_field.field_info, params.Form)


def _credential_keys(dependant: Any) -> Iterator[str]:
    if isinstance(dependant.call, SecurityBase):
        yield str(getattr(dependant.call.model, "name", "")).lower()
    for inner in dependant.dependencies:
        yield from _credential_keys(inner)
