"""Which functions are guarded by a parameter: one whose dependency reads credentials of the request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import params
from fastapi.security.base import SecurityBase

from raincheck.fastapi.annotations import UnknownAnnotation, evaluated, signature_of, split
from raincheck.fastapi.declared_names import NEVER_STORED, header_names, keys_of
from raincheck.fastapi.signature import Plan, Role

if TYPE_CHECKING:
    from collections.abc import Iterator


def has_guarding_parameter(plan: Plan) -> bool:
    """Tell whether a dependency of the function asks who is calling.

    It does where it, or one below it, is a scheme of ``fastapi.security``, a ``Security(...)``, a cookie, or the
    ``Authorization`` header. A dependency that reads the request itself tells nothing.
    """
    given = [_mark(parameter.annotation, parameter.default) for parameter in plan.of(Role.DEPENDS)]
    return any(_asks_who_calls(kind, mark, frozenset()) for kind, mark in given)


def _asks_who_calls(kind: Any, mark: Any, above: frozenset[int]) -> bool:
    match mark:
        case params.Security() | params.Cookie():
            return True
        case params.Header():
            return not NEVER_STORED.isdisjoint(header_names(keys_of(mark.alias or "", mark, kind)))
        case params.Depends():
            dependency = mark.dependency or kind
            if isinstance(dependency, SecurityBase):
                return True
            if not callable(dependency) or id(dependency) in above:
                return False
            return any(_asks_who_calls(*each, above | {id(dependency)}) for each in _parameters(dependency))
    return False


def _parameters(dependency: Any) -> Iterator[tuple[Any, Any]]:
    for parameter in signature_of(dependency).parameters.values():
        try:
            annotation = evaluated(parameter.annotation, dependency)
        except UnknownAnnotation:  # FastAPI refuses it, with its own words
            continue
        kind, mark = _mark(annotation, parameter.default)
        if isinstance(mark, params.Header) and mark.alias is None:
            yield kind, params.Header(alias=parameter.name.replace("_", "-"))
        else:
            yield kind, mark


def _mark(annotation: Any, default: Any) -> tuple[Any, Any]:
    """Return the type of a parameter, and what says where its value comes from."""
    kind, metadata = split(annotation)
    marks = [mark for mark in (*metadata, default) if isinstance(mark, (params.Depends, params.Param, params.Body))]
    return kind, marks[-1] if marks else None
