"""Routes that turn away what cannot be theirs before it is compared with each of them.

An application asks every router and every route about every request, one after the other, until one takes it. What
Raincheck adds stands before the application's own routes, and must not slow them down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.routing import BaseRoute, Match, NoMatchFound

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from starlette.datastructures import URLPath
    from starlette.types import Receive, Scope, Send

_TAKEN = "raincheck.taken"


class RouterUnder(APIRouter):
    """An APIRouter all of whose paths contain one text, such as ``/operations``.

    :param under: the text; a path without it is no route of this router, wherever the application is mounted.
    """

    def __init__(self, under: str, **options: Any) -> None:
        super().__init__(**options)
        self._under = under

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Compare a request with the routes, if it can be one of theirs."""
        if self._under in scope["path"]:
            return super().matches(scope)
        return Match.NONE, {}


class RoutesUnder(BaseRoute):
    """Routes of Starlette as one, without what FastAPI keeps for each request of an included router.

    :param under: a text that all their paths contain.
    """

    def __init__(self, under: str, routes: Sequence[BaseRoute]) -> None:
        self.under = under
        self.routes = list(routes)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return the first match that is full; a partial one would tell of a method, which these answer themselves."""
        if self.under in scope["path"]:
            for route in self.routes:
                match, child = route.matches(scope)
                if match is Match.FULL:
                    return match, {**child, _TAKEN: route}
        return Match.NONE, {}

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Return the path of the route of a name.

        :raises NoMatchFound: none has it.
        """
        for route in self.routes:
            try:
                return route.url_path_for(name, **path_params)
            except NoMatchFound:
                continue
        raise NoMatchFound(name, path_params)

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """Answer by the route that matched; no coroutine of its own, which each idle reader would keep."""
        route: BaseRoute = scope[_TAKEN]
        return route.handle(scope, receive, send)
