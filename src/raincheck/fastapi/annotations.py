"""Annotations of functions, evaluated one at a time, so that one that fails can be named."""

from __future__ import annotations

import inspect
import sys
from functools import partial
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, ForwardRef, Union, get_args, get_origin, get_type_hints

from typing_inspection.typing_objects import is_typealiastype

from raincheck.context import OperationContext
from raincheck.fastapi.worker_depends import WorkerDepends

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EMPTY = inspect.Parameter.empty
AT_THE_TOP = "Define or import the name at the top of its module, outside of functions and TYPE_CHECKING"


class UnknownAnnotation(Exception):
    """An annotation that cannot be evaluated; the message says why."""


def signature_of(call: Callable[..., Any]) -> inspect.Signature:
    """Return the signature with annotations as they were written; names that do not exist are no error."""
    if sys.version_info >= (3, 14):
        from annotationlib import Format  # noqa: PLC0415 - exists since 3.14 only

        return inspect.signature(call, annotation_format=Format.FORWARDREF)
    try:
        return inspect.signature(call)
    except ValueError:  # builtins such as ``dict`` tell nothing; called without arguments they may still work
        return inspect.Signature()


def evaluated(annotation: Any, call: Callable[..., Any]) -> Any:
    """Return an annotation with its texts evaluated in the module of ``call`` and its PEP 695 aliases opened.

    Raincheck's own names are known even where they are imported under ``TYPE_CHECKING`` only.

    :raises UnknownAnnotation: a name does not exist at run time, or the text is no expression.
    """
    if annotation is EMPTY:
        return EMPTY

    def holder() -> None: ...

    holder.__annotations__ = {"it": annotation}
    try:
        module = _globals_of(call)
        found = get_type_hints(holder, globalns=module, localns=_own_names(module), include_extras=True)["it"]
        return _opened(found)
    except Exception as error:
        text = annotation.__forward_arg__ if isinstance(annotation, ForwardRef) else annotation
        msg = f"the annotation {text!r} cannot be evaluated ({type(error).__name__}: {error})"
        raise UnknownAnnotation(msg) from error


def split(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the type and the metadata of an annotation; the type is ``EMPTY`` where there is none."""
    annotation = _opened(annotation)
    if get_origin(annotation) is Annotated:
        kind, *metadata = get_args(annotation)
        return _opened(kind), tuple(metadata)
    return annotation, ()


def is_a(kind: Any, classes: type | tuple[type, ...]) -> bool:
    """Whether a type is one of the classes, or ``one | None``."""
    if get_origin(kind) in (Union, UnionType):
        members = [member for member in get_args(kind) if member is not NoneType]
        return len(members) == 1 and is_a(members[0], classes)
    return isinstance(kind, type) and get_origin(kind) is None and issubclass(kind, classes)


def _opened(annotation: Any) -> Any:
    while is_typealiastype(annotation):
        annotation = annotation.__value__
    return annotation


def _own_names(module: Mapping[str, Any]) -> dict[str, Any]:
    own: dict[str, Any] = {
        "OperationContext": OperationContext,
        "WorkerDepends": WorkerDepends,
        "raincheck": sys.modules["raincheck"],
    }
    return {name: value for name, value in own.items() if name not in module}


def _globals_of(call: Callable[..., Any]) -> dict[str, Any]:
    while isinstance(call, partial):
        call = call.func
    found: Any = inspect.unwrap(call)
    if isinstance(found, type):
        return vars(sys.modules[found.__module__]) if found.__module__ in sys.modules else {}
    if not hasattr(found, "__globals__"):
        found = getattr(type(found), "__call__", found)  # noqa: B004 - its code is wanted, not the answer
    return getattr(found, "__globals__", {})
