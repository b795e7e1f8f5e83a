"""Finding in another process the functions that this one runs: what to import, and where each kind is."""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raincheck.core.errors import ExecutorError
from raincheck.core.importable import NotImportable, importable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raincheck.ports_functions import Kind

MAIN_ALIAS = "__raincheck_main__"


def target_of(kind: Kind) -> str:
    """Return the ``module:qualname`` of a kind's function.

    :raises ExecutorError: no other process can import it.
    """
    target = importable(kind.function)
    if isinstance(target, NotImportable):
        msg = f'kind {kind.name!r} cannot run with executor="process": its function {target.reason}'
        raise ExecutorError(msg)
    return target


def plan_of(kinds: Sequence[Kind]) -> dict[str, Any]:
    """Return what a fork server must import, as JSON values."""
    targets = [target_of(kind) for kind in kinds]
    modules = list(dict.fromkeys(target.partition(":")[0] for target in targets))
    return {
        "argv": sys.argv,
        "modules": [name for name in modules if name != "__main__"],
        "main": _main_location() if "__main__" in modules else None,
        "targets": [[target, kind.name] for target, kind in zip(targets, kinds, strict=True)],
    }


def _main_location() -> dict[str, str]:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != "__main__":  # python -m package.module
        return {"name": spec.name}
    return {"path": str(Path(main.__file__ or "").resolve())}


def import_plan(plan: dict[str, Any]) -> None:
    """Import what a plan names and check that every kind is where it should be."""
    sys.argv[:] = plan["argv"]
    if plan["main"] is not None:
        _import_main(**plan["main"])
    for module in plan["modules"]:
        importlib.import_module(module)
    for target, name in plan["targets"]:
        find_kind(target, name)


def _import_main(name: str | None = None, path: str | None = None) -> None:
    """Load the parent's main program under another name, so that ``if __name__ == "__main__"`` does not run."""
    if name is not None:
        sys.modules["__main__"] = importlib.import_module(name)
        return
    assert path is not None
    loader = SourceFileLoader(MAIN_ALIAS, path)
    spec = spec_from_loader(MAIN_ALIAS, loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[MAIN_ALIAS] = sys.modules["__main__"] = module
    exec(loader.source_to_code(loader.get_data(path), path), module.__dict__)  # noqa: S102 - the user's own program


def find_kind(target: str, name: str) -> Kind:
    """Return a kind of an imported module.

    :raises ExecutorError: the name leads nowhere, or not to a function of this kind.
    """
    module, _, path = target.partition(":")
    found: object = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    kinds: dict[str, Kind] = getattr(found, "__raincheck_kinds__", {})
    if name not in kinds:
        msg = (
            f"importing {module!r} in a fresh process gives no operation {name!r} at {path!r}; it must be decorated"
            " while its module is imported, under its own name, with the Raincheck decorator outermost"
        )
        raise ExecutorError(msg)
    return kinds[name]
