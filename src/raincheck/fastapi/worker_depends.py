"""WorkerDepends: marks a parameter that is made where and when the function runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raincheck.core.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, eq=False)
class WorkerDependency:
    """What ``WorkerDepends(...)`` gives; the mark that the analysis looks for."""

    dependency: Callable[..., Any]
    use_cache: bool = True


def WorkerDepends(dependency: Callable[..., Any], *, use_cache: bool = True) -> Any:  # noqa: N802 - reads as FastAPI's Depends
    """Resolve a dependency where and when the function runs, such as a database session.

    Use it as ``session: Annotated[Session, WorkerDepends(get_session)]`` or ``= WorkerDepends(get_session)``.
    Functions, classes and callables, sync and async, and ``yield`` dependencies, whose clean-up runs after the result
    was taken. A dependency may take ``OperationContext``, other ``WorkerDepends``, ``app: FastAPI`` (not in processes)
    and parameters with defaults.

    :param use_cache: make it once per run, as ``Depends`` does per request.
    :raises DefinitionError: not a callable.
    """
    if not callable(dependency):
        msg = f"WorkerDepends({dependency!r}) needs a callable; pass the function or class itself"
        raise DefinitionError(msg)
    return WorkerDependency(dependency, use_cache)
