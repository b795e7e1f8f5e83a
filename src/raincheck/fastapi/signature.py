"""What an operation function takes: the analysis made once, when it is decorated."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from enum import Enum
from inspect import Parameter
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import params
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.background import BackgroundTasks
from starlette.requests import HTTPConnection
from starlette.responses import Response

from raincheck.context import OperationContext
from raincheck.core.errors import DefinitionError
from raincheck.fastapi.annotations import AT_THE_TOP, EMPTY, UnknownAnnotation, evaluated, is_a, signature_of, split
from raincheck.fastapi.callables import Style, full_name, style_of
from raincheck.fastapi.declared_names import NEVER_STORED, header_names, keys_of
from raincheck.fastapi.round_trip import StoredValue, stored_value
from raincheck.fastapi.worker_depends import WorkerDependency
from raincheck.fastapi.worker_steps import Step, plan_step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic.fields import FieldInfo

Endpoint = TypeVar("Endpoint", bound="Callable[..., Any]")


class Role(Enum):
    """Where a parameter's value comes from."""

    FIELD = "the request"
    DEPENDS = "a dependency, at the request"
    CONTEXT = "the run"
    WORKER = "a dependency, at the run"
    RESPONSE = "a fresh response, at the run"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedParameter:
    """One parameter: its evaluated annotation (``Annotated`` kept) and what its role needs."""

    name: str
    role: Role
    annotation: Any
    default: Any
    stored: StoredValue[Any] | None = None
    step: Step | None = None

    def for_request(self) -> Parameter:
        """Return the parameter as FastAPI shall see it; keyword-only, so that defaults may stand anywhere."""
        return Parameter(self.name, Parameter.KEYWORD_ONLY, default=self.default, annotation=self.annotation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An operation function as seen from the request and from the run."""

    function: Callable[..., Any]
    name: str
    parameters: tuple[PlannedParameter, ...]

    def of(self, *roles: Role) -> tuple[PlannedParameter, ...]:
        """Return the parameters of some roles, in order."""
        return tuple(parameter for parameter in self.parameters if parameter.role in roles)

    def request_signature(self, extra: Sequence[Parameter] = ()) -> inspect.Signature:
        """Return the signature for the route: what the request gives, then the ``extra`` parameters.

        :raises DefinitionError: the function uses the name of an extra parameter.
        """
        own = [parameter.for_request() for parameter in self.of(Role.FIELD, Role.DEPENDS)]
        taken = {parameter.name for parameter in self.parameters} & {parameter.name for parameter in extra}
        if taken:
            msg = f"{self.name}: the parameter name {min(taken)!r} is reserved. Rename the parameter."
            raise DefinitionError(msg)
        added = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in extra]
        return inspect.Signature([*own, *added])

    def dress(self, endpoint: Endpoint, extra: Sequence[Parameter] = ()) -> Endpoint:
        """Give an endpoint the function's name, docstring and request signature.

        Not ``functools.wraps``: FastAPI would follow ``__wrapped__`` to the function itself.
        """
        function: Any = self.function
        dressed: Any = endpoint
        dressed.__name__ = function.__name__
        dressed.__qualname__ = getattr(function, "__qualname__", function.__name__)
        dressed.__module__ = function.__module__
        dressed.__doc__ = function.__doc__
        dressed.__signature__ = self.request_signature(extra)
        dressed.__annotations__ = {}
        return endpoint


def analyse(function: Callable[..., Any], *, executor: str) -> Plan:
    """Return the plan of a function.

    :param executor: ``async``, ``thread`` or ``process``; decides what its worker dependencies may take.
    :raises DefinitionError: the function cannot be an operation; names the function, the parameter and the remedy.
    """
    name = _checked_name(function)
    parameters = tuple(
        _planned(parameter, function, name, executor) for parameter in signature_of(function).parameters.values()
    )
    return Plan(function=function, name=name, parameters=parameters)


def _checked_name(function: Callable[..., Any]) -> str:
    if isinstance(function, type) or not callable(function):
        msg = f"{function!r} is not a function. Decorate a function."
        raise DefinitionError(msg)
    short = getattr(function, "__name__", None)
    if short is None or short == "<lambda>":
        msg = f"{function!r} has no name, so its operations would have no durable kind. Decorate a named function."
        raise DefinitionError(msg)
    name = full_name(function)
    if inspect.ismethod(function):
        msg = f"{name} is a method bound to an object, which a later run would not have. Decorate a function."
        raise DefinitionError(msg)
    style = style_of(function)
    if style.yields:
        msg = (
            f"{name} is a {style.value} function, and an operation has one result. Return it, and stream partial"
            " results with op.emit(chunk) of an OperationContext parameter."
        )
        raise DefinitionError(msg)
    if style is Style.ASYNC and not inspect.iscoroutinefunction(function):
        msg = f"{name} is a sync wrapper around an async function. Make the wrapper `async def` and await inside it."
        raise DefinitionError(msg)
    return name


def _planned(parameter: Parameter, function: Callable[..., Any], name: str, executor: str) -> PlannedParameter:
    _refuse_unnamed(parameter, name)
    try:
        annotation = evaluated(parameter.annotation, function)
    except UnknownAnnotation as error:
        raise _refusal(name, parameter, f": {error}", f"{AT_THE_TOP}.") from error
    kind, metadata = split(annotation)
    mark = _mark(parameter, metadata, name)
    found: dict[str, Any] = {"name": parameter.name, "annotation": annotation, "default": parameter.default}
    match mark:
        case WorkerDependency():
            step = plan_step(mark.dependency, use_cache=mark.use_cache, executor=executor, trail=(name,))
            return PlannedParameter(role=Role.WORKER, step=step, **found)
        case params.Depends():
            return PlannedParameter(role=Role.DEPENDS, stored=_stored(parameter, kind, mark, name), **found)
    if is_a(kind, OperationContext):
        return PlannedParameter(role=Role.CONTEXT, **found)
    if mark is None and is_a(kind, Response):
        return PlannedParameter(role=Role.RESPONSE, **found)
    _refuse_request_parts(parameter, kind, mark, name)
    return PlannedParameter(role=Role.FIELD, **found)


def _refuse_unnamed(parameter: Parameter, name: str) -> None:
    if parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
        why = "collects arguments, and a request names each of its values"
        raise _refusal(name, parameter, why, "Declare each parameter.")
    if parameter.kind is Parameter.POSITIONAL_ONLY:
        raise _refusal(name, parameter, "is positional-only, and values are passed by name", "Remove the `/`.")


def _mark(
    parameter: Parameter, metadata: tuple[Any, ...], name: str
) -> WorkerDependency | params.Depends | FieldInfo | None:
    """Return what says where the value comes from: FastAPI takes the last mark, and none beside a default."""
    wanted = (WorkerDependency, params.Depends, params.Param, params.Body)
    marks = [mark for mark in (*metadata, parameter.default) if isinstance(mark, wanted)]
    if len(marks) > 1 and any(isinstance(mark, WorkerDependency) for mark in marks):
        why = "has WorkerDepends(...) beside another mark"
        raise _refusal(name, parameter, why, "Keep the one that says where the value comes from.")
    return marks[-1] if marks else None


def _stored(parameter: Parameter, kind: Any, mark: params.Depends, name: str) -> StoredValue[Any]:
    dependency: Any = mark.dependency or kind
    if isinstance(dependency, SecurityBase):
        why = f"takes the credentials of {type(dependency).__name__}, and credentials are never stored"
        remedy = (
            "Use the scheme inside a dependency that returns what the function needs, such as the user, or read"
            " credentials where it runs with WorkerDepends(...)."
        )
        raise _refusal(name, parameter, why, remedy)
    if not callable(dependency):
        raise _refusal(name, parameter, "has Depends() without a dependency", "Pass one: Depends(function).")
    if style_of(dependency).yields:
        why = f"takes a `yield` dependency, {full_name(dependency)}, which is closed before the function runs"
        raise _refusal(name, parameter, why, _AT_THE_RUN)
    if kind is EMPTY:
        kind = _returned_by(dependency, parameter, name)
    found = stored_value(parameter.name, kind, owner=name)
    if isinstance(found, str):
        raise _refusal(name, parameter, f"takes a Depends(...) value that {found}", _AT_THE_RUN)
    return found


_AT_THE_RUN = (
    "Depends(...) is resolved at the request and its value stored as JSON. Return a Pydantic model, a dataclass or"
    " plain JSON types, or use WorkerDepends(...) to resolve it where the function runs."
)


def _returned_by(dependency: Any, parameter: Parameter, name: str) -> Any:
    if isinstance(dependency, type):
        return dependency
    try:
        return split(evaluated(signature_of(dependency).return_annotation, dependency))[0]
    except UnknownAnnotation as error:
        why = f"takes the value of {full_name(dependency)}, whose return type is unknown: {error}"
        raise _refusal(name, parameter, why, "Annotate the parameter itself.") from error


def _refuse_request_parts(parameter: Parameter, kind: Any, mark: FieldInfo | None, name: str) -> None:
    """Refuse what is gone, or must not be kept, when the function runs."""
    if isinstance(mark, params.Cookie):
        raise _refusal(name, parameter, "is a cookie, and cookies are never stored", _CREDENTIALS)
    if isinstance(mark, params.Header):
        secret = header_names(keys_of(parameter.name, mark, kind)) & NEVER_STORED
        if secret:
            why = f"reads the header {min(secret)!r}, which is never stored"
            raise _refusal(name, parameter, why, _CREDENTIALS)
    if is_a(kind, HTTPConnection):
        why = "is the request itself, which is over when the function runs"
        raise _refusal(name, parameter, why, "Declare the values that the function needs, or a Depends(...) on them.")
    if is_a(kind, BackgroundTasks):
        why = "asks for background tasks, and the function already runs in the background"
        raise _refusal(name, parameter, why, "Do the work in the function, or in an operation of its own.")
    if is_a(kind, SecurityScopes):
        why = "asks for security scopes, which belong to the request"
        raise _refusal(name, parameter, why, "Take them in a dependency: user: Annotated[User, Security(...)].")


_CREDENTIALS = "Read it in a dependency that returns what the function needs: user: Annotated[User, Depends(...)]."


def _refusal(name: str, parameter: Parameter, why: str, remedy: str) -> DefinitionError:
    separator = "" if why.startswith(":") else " "
    return DefinitionError(f"{name}: parameter {parameter.name!r}{separator}{why}. {remedy}")
