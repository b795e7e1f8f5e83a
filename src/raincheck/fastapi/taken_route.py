"""How FastAPI reads the request at hand: what is asked of its route objects while they serve.

Routers and ``include_router`` may add dependencies with body parameters after a function was registered, and that
changes how its own body is read. FastAPI decides it per inclusion, in a context that it leaves in the request's scope.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import params
from fastapi.security.base import SecurityBase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi.routing import APIRoute
    from starlette.types import Scope


class TakenRoute:
    """The route that took a request, as included.

    :ivar reads_body: whether the function or one of its dependencies reads the body.
    :ivar reads_form: whether the body is read as a form.
    :ivar embeds: whether each body parameter is read from a key of its own.
    :ivar guesses_json: whether a body without a content type is read as JSON.
    """

    __slots__ = ("embeds", "guesses_json", "reads_body", "reads_form", "state")

    def __init__(self, state: Any) -> None:
        self.state = state
        self.reads_body = state.body_field is not None
        self.reads_form = reads_form(state)
        self.embeds = embeds(state)
        strict = state.strict_content_type
        self.guesses_json = not getattr(strict, "value", strict)

    def credential_keys(self) -> frozenset[str]:
        """Return the query and header keys of the API key schemes among the dependencies, lower case."""
        return frozenset(_credential_keys(self.state.dependant))


def state_of(route: Any, scope: Scope) -> Any:
    """Return what FastAPI keeps of a route as a request reached it: an inclusion has a state of its own."""
    context = scope.get("fastapi", {}).get("effective_route_context")
    return context if getattr(context, "original_route", None) is route else route


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
