"""Whether another process can find a function by its name, and if not, why."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NotImportable:
    """Why a function has no importable name. The reason completes the sentence "the function …"."""

    reason: str


def importable(function: object) -> str | NotImportable:
    """Return ``module:qualname`` of a function that a fresh process can import, else the reason why it cannot.

    Whether the name really leads to the function shows only when its module is complete, so executors check that at
    start. What can be told while the module is still being imported is told here.
    """
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None)
    if inspect.ismethod(function):
        return NotImportable("is a method bound to an object; use a function at the top of a module")
    if not isinstance(module, str) or not isinstance(name, str):
        return NotImportable(f"is a {type(function).__name__} without a name; use a function made with def")
    if "<lambda>" in name:
        return NotImportable("is a lambda; use a function made with def at the top of a module")
    if "<locals>" in name:
        outer = name.split(".<locals>", 1)[0]
        return NotImportable(f"is defined inside {outer}(); move it to the top of its module")
    if module == "__main__" and not _main_has_a_file():
        return NotImportable("was typed into an interactive session or given with -c; put it in a file")
    return f"{module}:{name}"


def _main_has_a_file() -> bool:
    main = sys.modules["__main__"]
    return getattr(main, "__spec__", None) is not None or getattr(main, "__file__", None) is not None
