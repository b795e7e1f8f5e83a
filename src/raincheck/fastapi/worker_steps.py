"""How dependencies are made where and when the function runs: planned at import, resolved for each run."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from inspect import Parameter
from typing import TYPE_CHECKING, Any

from fastapi import params
from starlette.applications import Starlette

from raincheck.context import OperationContext
from raincheck.core.errors import DefinitionError, NotStarted
from raincheck.fastapi.annotations import AT_THE_TOP, EMPTY, UnknownAnnotation, evaluated, is_a, signature_of, split
from raincheck.fastapi.callables import Style, full_name, style_of
from raincheck.fastapi.cleanup import guarded, threaded
from raincheck.fastapi.worker_depends import WorkerDependency

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable
    from contextlib import AsyncExitStack


class Given(Enum):
    """What a run offers to dependencies besides other dependencies."""

    CONTEXT = "context"
    APP = "app"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """One dependency and where its arguments come from."""

    call: Callable[..., Any]
    style: Style
    use_cache: bool
    arguments: tuple[tuple[str, Step | Given], ...]

    @property
    def key(self) -> Hashable:
        """What identifies the dependency within a run."""
        try:
            hash(self.call)
        except TypeError:
            return id(self.call)
        return self.call


def plan_step(dependency: Callable[..., Any], *, use_cache: bool, executor: str, trail: tuple[str, ...]) -> Step:
    """Return how to make a dependency, deciding now what could fail at the run.

    :param trail: who asks, outermost first; the refusal names it.
    :raises DefinitionError: a parameter that a run cannot fill.
    """
    name = full_name(dependency)
    if name in trail[1:]:
        msg = f"{' -> '.join((*trail, name))}: the dependency needs itself. Break the circle."
        raise DefinitionError(msg)
    trail = (*trail, name)
    arguments = []
    for parameter in signature_of(dependency).parameters.values():
        if parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
            continue
        source = _source(parameter, dependency, executor, trail)
        if source is not None:
            arguments.append((parameter.name, source))
    return Step(call=dependency, style=style_of(dependency), use_cache=use_cache, arguments=tuple(arguments))


def _source(
    parameter: Parameter, dependency: Callable[..., Any], executor: str, trail: tuple[str, ...]
) -> Step | Given | None:
    try:
        kind, metadata = split(evaluated(parameter.annotation, dependency))
    except UnknownAnnotation as error:
        if parameter.default is EMPTY:
            raise _refusal(trail, parameter, str(error), f"{AT_THE_TOP}.") from error
        kind, metadata = EMPTY, ()
    for mark in (parameter.default, *reversed(metadata)):
        match mark:
            case WorkerDependency():
                return plan_step(mark.dependency, use_cache=mark.use_cache, executor=executor, trail=trail)
            case params.Depends():
                if getattr(mark, "max_concurrency", None) is not None:  # of newer releases of FastAPI
                    why = "has max_concurrency=, which FastAPI counts for requests and nobody for runs"
                    raise _refusal(trail, parameter, why, _OWN_LIMIT)
                inner = mark.dependency or kind
                return plan_step(inner, use_cache=mark.use_cache, executor=executor, trail=trail)
            case params.Param() | params.Body():
                raise _refusal(trail, parameter, "is part of a request, which is over when the function runs", _REMEDY)
    given = _given(kind, parameter, executor, trail)
    if given is None and parameter.default is EMPTY:
        raise _refusal(trail, parameter, "cannot be filled when the function runs", _REMEDY)
    return given


def _given(kind: Any, parameter: Parameter, executor: str, trail: tuple[str, ...]) -> Given | None:
    if is_a(kind, OperationContext):
        return Given.CONTEXT
    if not is_a(kind, Starlette):
        return None
    if executor == "process":
        why = "asks for the application, which does not run in the child process"
        raise _refusal(trail, parameter, why, "Build what you need from settings, or use executor='thread'.")
    return Given.APP


_OWN_LIMIT = "Hold a semaphore of your own in the dependency, or lower the slots of the executor."
_REMEDY = (
    "A worker dependency may take OperationContext, WorkerDepends(...), app: FastAPI and parameters with defaults; "
    "hand request data to the function itself, as its own parameter or a Depends(...) value."
)


def _refusal(trail: tuple[str, ...], parameter: Parameter, why: str, remedy: str) -> DefinitionError:
    msg = f"{trail[0]}: in WorkerDepends({' -> '.join(trail[1:])}), parameter {parameter.name!r} {why}. {remedy}"
    return DefinitionError(msg)


@dataclass(slots=True, kw_only=True)
class Resolution:
    """Makes the dependencies of one run, each once."""

    context: OperationContext
    stack: AsyncExitStack
    run_sync: Callable[..., Awaitable[Any]]
    app: object | None
    _made: dict[Hashable, Any] = field(default_factory=dict)

    async def value(self, step: Step) -> Any:
        """Return the dependency's value, made now unless the run has it."""
        if step.use_cache and step.key in self._made:
            return self._made[step.key]
        chosen = self._overridden(step)
        arguments = {}
        for name, source in chosen.arguments:
            arguments[name] = await self._argument(source)
        value = await self._made_by(chosen, arguments)
        self._made.setdefault(step.key, value)
        return value

    def _overridden(self, step: Step) -> Step:
        overrides = getattr(self.app, "dependency_overrides", None)
        if not overrides or step.key not in overrides:
            return step
        return plan_step(
            overrides[step.call], use_cache=step.use_cache, executor="", trail=("app.dependency_overrides",)
        )

    async def _argument(self, source: Step | Given) -> Any:
        match source:
            case Step():
                return await self.value(source)
            case Given.CONTEXT:
                return self.context
            case Given.APP:
                if self.app is None:
                    msg = "a worker dependency asks for the application, but none is running here"
                    raise NotStarted(msg)
                return self.app

    async def _made_by(self, step: Step, arguments: dict[str, Any]) -> Any:
        if step.style is Style.SYNC:
            return await self.run_sync(step.call, **arguments)
        if step.style is Style.ASYNC:
            return await step.call(**arguments)
        if step.style is Style.ASYNC_GENERATOR:
            manager = asynccontextmanager(step.call)(**arguments)
        else:
            manager = threaded(step.call, arguments, self.run_sync)
        return await self.stack.enter_async_context(guarded(manager))
