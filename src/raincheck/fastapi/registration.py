"""Registration: a function and its keywords become a kind, a binding and a documented route."""

from __future__ import annotations

import inspect
import re
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, params
from fastapi.datastructures import DefaultPlaceholder
from fastapi.utils import is_body_allowed_for_status_code
from starlette.responses import JSONResponse, Response

from raincheck.core.errors import DefinitionError
from raincheck.core.importable import NotImportable, importable
from raincheck.core.quantities import LARGEST_COUNT, duration, size
from raincheck.core.retry import Retry
from raincheck.fastapi import delivery_documents, openapi
from raincheck.fastapi.annotations import UnknownAnnotation, evaluated, split
from raincheck.fastapi.answers import refusals
from raincheck.fastapi.binding import FunctionBinding, bind
from raincheck.fastapi.models import documented_operation
from raincheck.fastapi.rendering import ResultOptions
from raincheck.fastapi.signature import Role
from raincheck.fastapi.submission import Submitter
from raincheck.ports_functions import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from raincheck.fastapi.serving import Gateway
    from raincheck.fastapi.signature import Plan

EXECUTORS = ("async", "thread", "process")
_OURS = frozenset(
    {"kind", "executor", "retry", "timeout", "wait", "max_losses", "retention", "memory_limit", "queue", "priority"},
)
_RESULT = {
    "response_model": "response_model",
    "response_class": "response_class",
    "status_code": "status_code",
    "response_model_include": "include",
    "response_model_exclude": "exclude",
    "response_model_by_alias": "by_alias",
    "response_model_exclude_unset": "exclude_unset",
    "response_model_exclude_defaults": "exclude_defaults",
    "response_model_exclude_none": "exclude_none",
}
_TAKES_BODY_LIMIT = "max_body_size" in inspect.signature(APIRouter.add_api_route).parameters
_ANSWER = "The function's own answer, when the client waits for it and it comes in time"
_JSON = "application/json"
_ACCEPTED = 202
_RETAINED_AT_LEAST = timedelta(hours=24)


@dataclass(slots=True, eq=False)
class Registry:
    """All kinds of one Raincheck, by their durable names.

    :param owner_annotation: annotation of the routes' owner parameter; None without an owner rule.
    :param callbacks: whether callers may name a URL that hears of their operation.
    """

    gateway: Gateway
    owner_annotation: Any | None
    max_body: int
    callbacks: bool = False
    kinds: dict[str, Kind] = field(default_factory=dict)
    guarded: list[str] = field(default_factory=list)

    def refuse_taken(self, kind: Kind, name: str) -> None:
        """Refuse a second function of one kind.

        :raises DefinitionError: the name is taken.
        """
        other = self.kinds.get(kind.name)
        if other is not None:
            where = f"{other.function.__module__}.{other.function.__qualname__}"
            msg = (
                f"{name}: the kind {kind.name!r} is already used by {where}, and stored operations refer to kinds by "
                'name. Give one of them a name of its own: kind="…".'
            )
            raise DefinitionError(msg)

    def add(self, kind: Kind) -> None:
        """Keep a kind, and leave it on its function, where child processes find it."""
        self.kinds[kind.name] = kind
        marks = getattr(kind.function, "__raincheck_kinds__", {})
        kind.function.__raincheck_kinds__ = {**marks, kind.name: kind}  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A function that is ready to be a route."""

    plan: Plan
    kind: Kind
    submitter: Submitter
    route_options: dict[str, Any]


def prepare(function: Callable[..., Any], *, registry: Registry, options: dict[str, Any]) -> Prepared:
    """Analyse a function and return its kind with the route that submits it; nothing is registered yet.

    :raises DefinitionError: the function or a keyword cannot be used; the message names the remedy.
    """
    ours = {name: value for name, value in options.items() if name in _OURS}
    result = ResultOptions(**{_RESULT[name]: value for name, value in options.items() if name in _RESULT})
    executor = _executor(function, ours.get("executor"))
    binding = bind(function, executor=executor, options=result)
    plan = binding.plan
    kind = _kind(function, plan, executor, ours, binding)
    registry.refuse_taken(kind, plan.name)
    submitter = Submitter(gateway=registry.gateway, kind=kind, capture=binding.inputs)
    return Prepared(plan, kind, submitter, _route_options(kind, binding, options, result, registry))


def said_for_all(router: APIRouter, function: Callable[..., Any]) -> dict[str, Any]:
    """Return what a router says once for all of its routes, and FastAPI would take over from it by itself.

    Our routes have an ``operation_id`` and a response class of their own, which would outrank it.
    """
    found: dict[str, Any] = {"generate_unique_id_function": router.generate_unique_id_function}
    if _returned_response(function) is None:
        found["response_class"] = router.default_response_class
    return {name: value for name, value in found.items() if not isinstance(value, DefaultPlaceholder)}


def _executor(function: Callable[..., Any], chosen: str | None) -> str:
    name = f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', function)}"
    is_async = inspect.iscoroutinefunction(function)
    if chosen is None:
        return "async" if is_async else "thread"
    if chosen not in EXECUTORS:
        msg = f"{name}: executor={chosen!r} is unknown. Use one of {', '.join(map(repr, EXECUTORS))}."
        raise DefinitionError(msg)
    if chosen == "async" and not is_async:
        msg = f"{name}: executor='async' needs an `async def`, a plain function would block the loop. Use 'thread'."
        raise DefinitionError(msg)
    if chosen == "thread" and is_async:
        msg = f"{name}: executor='thread' needs a plain `def`. Remove `async`, or leave the executor away."
        raise DefinitionError(msg)
    if chosen == "process":
        found = importable(function)
        if isinstance(found, NotImportable):
            msg = f"{name}: executor='process' imports the function in a child process, but it {found.reason}."
            raise DefinitionError(msg)
    return chosen


def _kind(
    function: Callable[..., Any],
    plan: Plan,
    executor: str,
    options: dict[str, Any],
    binding: FunctionBinding,
) -> Kind:
    try:
        return Kind(
            name=_name(options.get("kind", function.__name__)),
            function=function,
            executor=executor,
            retry=_retry(options.get("retry")),
            timeout=_timeout(options.get("timeout")),
            max_losses=_at_least_one("max_losses", options.get("max_losses", 3)),
            retention=_retention(options.get("retention", "7d")),
            memory_limit=_memory_limit(options.get("memory_limit"), executor),
            queue=_name(options.get("queue", "default")),
            priority=_whole("priority", options.get("priority", 0)),
            wait=_duration("wait", options.get("wait", 0.0)),
            binding=binding,
        )
    except (ValueError, TypeError) as error:
        msg = f"{plan.name}: {error}"
        raise DefinitionError(msg) from error


def _name(text: Any) -> str:
    if not isinstance(text, str) or not 1 <= len(text) <= 200 or not text.isprintable():  # noqa: PLR2004
        msg = f"{text!r} is not a name; use 1 to 200 printable characters"
        raise ValueError(msg)
    return text


def _retry(found: Any) -> Retry:
    if found is None:
        return Retry()
    if not isinstance(found, Retry):
        msg = f"retry={found!r} is not a Retry; write retry=Retry(attempts=3)"
        raise TypeError(msg)
    return found


def _at_least_one(name: str, number: Any) -> int:
    if _whole(name, number) < 1:
        msg = f"{name}={number!r} must be at least 1"
        raise ValueError(msg)
    return int(number)


def _whole(name: str, number: Any) -> int:
    if isinstance(number, bool) or not isinstance(number, int):
        msg = f"{name}={number!r} must be a whole number"
        raise TypeError(msg)
    if not -LARGEST_COUNT <= number <= LARGEST_COUNT:  # no store could keep it: each submit would fail
        msg = f"{name}={number!r} must lie between {-LARGEST_COUNT} and {LARGEST_COUNT}"
        raise ValueError(msg)
    return number


def _duration(name: str, value: Any) -> timedelta:
    try:
        return duration(value)
    except TypeError as error:
        msg = f"{name}={value!r} is not a duration; write seconds, a text such as '30m', or a timedelta"
        raise ValueError(msg) from error
    except ValueError as error:
        msg = f"{name}: {error}"
        raise ValueError(msg) from error


def _timeout(value: Any) -> timedelta | None:
    found = None if value is None else _duration("timeout", value)
    if found == timedelta(0):
        msg = f"timeout={value!r} would end every run at once; use None for no limit"
        raise ValueError(msg)
    return found


def _retention(value: Any) -> timedelta:
    found = _duration("retention", value)
    if found < _RETAINED_AT_LEAST:
        msg = f"retention={value!r} is shorter than 24 hours, which clients and idempotency keys rely on"
        raise ValueError(msg)
    return found


def _memory_limit(value: Any, executor: str) -> int | None:
    if value is None:
        return None
    if executor != "process":
        msg = f"memory_limit={value!r} needs executor='process'; memory of the server itself cannot be limited"
        raise ValueError(msg)
    return size(value)


def _route_options(
    kind: Kind,
    binding: FunctionBinding,
    options: dict[str, Any],
    result: ResultOptions,
    registry: Registry,
) -> dict[str, Any]:
    model = Any if binding.result_model is None else binding.result_model
    kept = {name: value for name, value in options.items() if name not in _OURS and name not in _RESULT}
    status = result.status_code or 200
    description = kept.pop("response_description", None) or _ANSWER
    documented = _result_documentation(kind.function, binding.result_model, result, description)
    responses = openapi.submit_responses(status, documented)
    if registry.owner_annotation is not None or options.get("dependencies"):
        responses |= refusals()
    kept["responses"] = openapi.with_responses(responses, options.get("responses") or {})
    extra = dict(options.get("openapi_extra") or {})
    extra["parameters"] = [*extra.get("parameters", []), *openapi.submit_parameters()]
    kept["openapi_extra"] = extra
    named = re.sub(r"[^\w-]+", "_", kind.name)
    if "generate_unique_id_function" not in kept:
        kept.setdefault("operation_id", named)
    if registry.callbacks:
        extra["parameters"] += deepcopy(delivery_documents.CALLBACK_PARAMETERS)
        kept["callbacks"] = [*(kept.get("callbacks") or ()), *delivery_documents.callback_routes(named, model)]
    if _TAKES_BODY_LIMIT and _reads_form(binding.plan):
        kept.setdefault("max_body_size", registry.max_body)
    # With a status_code of 202 both answers have one status: the function's own, and the operation.
    answers: Any = documented_operation(model)
    if status == _ACCEPTED:
        answers = answers | model
    return {**kept, "response_model": answers, "status_code": _ACCEPTED, "response_class": JSONResponse}


def _reads_form(plan: Plan) -> bool:
    """Tell whether a route reads a form, which may be huge: FastAPI then refuses it while reading.

    Other bodies are refused once read, since the check while reading costs every request a twentieth of its time.
    """
    for parameter in plan.of(Role.FIELD):
        kind, metadata = split(parameter.annotation)
        if any(isinstance(mark, params.Form) for mark in (*metadata, parameter.default)) or "UploadFile" in repr(kind):
            return True
    return False


def _result_documentation(
    function: Callable[..., Any], model: Any, result: ResultOptions, description: str
) -> dict[str, Any]:
    found: dict[str, Any] = {"description": description}
    if not is_body_allowed_for_status_code(result.status_code):
        return found
    response_class = result.response_class or _returned_response(function)
    if response_class is None or issubclass(response_class, JSONResponse):
        media_type = getattr(response_class, "media_type", None) or _JSON
        if model is None or result.status_code == _ACCEPTED:
            return {**found, "content": {media_type: {"schema": {}}}}
        if media_type == _JSON:
            return {**found, "model": model}
    media_type = getattr(response_class, "media_type", None) or openapi.ANY_MEDIA_TYPE
    schema = {"type": "string"} if media_type.startswith("text/") else {"type": "string", "format": "binary"}
    return {**found, "content": {media_type: {"schema": schema}}}


def _returned_response(function: Callable[..., Any]) -> type[Response] | None:
    try:
        kind, _ = split(evaluated(inspect.signature(function).return_annotation, function))
    except (
        UnknownAnnotation,
        TypeError,
        ValueError,
    ):  # the analysis will say what is wrong
        return None
    return kind if isinstance(kind, type) and issubclass(kind, Response) else None
