"""Finding the user's Raincheck object by the name given on the command line."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from raincheck.cli.ending import UsageError
from raincheck.core.errors import ConfigurationError, RaincheckError
from raincheck.raincheck import Raincheck

if TYPE_CHECKING:
    from types import ModuleType


def load(target: str) -> Raincheck:
    """Return the object that ``module:name`` names, or the only Raincheck object of ``module``.

    Modules are looked for in the current folder first, as with ``python -m``.

    :raises UsageError: the name leads nowhere, not to a Raincheck object, or to several.
    :raises ConfigurationError: importing the module fails.
    """
    module_name, colon, path = target.partition(":")
    if not module_name or (colon and not path) or module_name.endswith(".py") or "/" in module_name:
        module_guess = module_name.removesuffix(".py").strip("./").replace("/", ".") or "package.module"
        msg = f"{target!r} is not of the form module:name. Write it like an import, such as {module_guess}:rain."
        raise UsageError(msg)
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = _imported(module_name, folder)
    return _named(module, path) if path else _only(module)


def _imported(name: str, folder: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except RaincheckError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            msg = (
                f"There is no module {error.name!r}, neither in {folder} nor installed. Run the command in the folder "
                "that holds it, or write its full name, such as package.module:rain."
            )
            raise UsageError(msg) from error
        msg = f"Importing {name!r} failed: {type(error).__name__}: {error}{_place(error)}. Correct it and try again."
        raise ConfigurationError(msg) from error


def _place(error: Exception) -> str:
    """Return where in the user's code an import failed; the frames of the import system say nothing."""
    if isinstance(error, SyntaxError):
        return ""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    own = frames[-1]
    return "" if own.filename == __file__ else f" ({own.filename}, line {own.lineno})"


def _named(module: ModuleType, path: str) -> Raincheck:
    found: object = module
    for part in path.split("."):
        if not hasattr(found, part):
            msg = f"Module {module.__name__!r} has no {path!r}. {_suggestion(module)}"
            raise UsageError(msg)
        found = getattr(found, part)
    if not isinstance(found, Raincheck):
        kind = type(found).__name__
        msg = f"{module.__name__}:{path} is a {kind}, not a Raincheck object. {_suggestion(module)}"
        raise UsageError(msg)
    return found


def _only(module: ModuleType) -> Raincheck:
    names = _names(module)
    if len(names) != 1:
        count = "several Raincheck objects" if names else "no Raincheck object"
        msg = f"Module {module.__name__!r} has {count}. {_suggestion(module)}"
        raise UsageError(msg)
    found: Raincheck = getattr(module, names[0])
    return found


def _names(module: ModuleType) -> list[str]:
    """Return one name for each Raincheck object of a module."""
    found = {id(value): name for name, value in reversed(vars(module).items()) if isinstance(value, Raincheck)}
    return sorted(found.values())


def _suggestion(module: ModuleType) -> str:
    names = _names(module)
    if names:
        return "Write " + " or ".join(f"{module.__name__}:{name}" for name in names) + "."
    return "Name the module that makes it, with `rain = Raincheck(app)`."
