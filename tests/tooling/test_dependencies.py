"""The default install: everything that is imported is declared, and it stays small."""

import ast
import re
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "raincheck"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DECLARED = [Requirement(text) for text in PROJECT["dependencies"]]
OPTIONAL = [Requirement(text) for texts in PROJECT["optional-dependencies"].values() for text in texts]
ON_PURPOSE = {
    "starlette": "FastAPI brings it and cannot be without it",
    "pydantic-core": "Pydantic brings it and cannot be without it",
    "typing-inspection": "Pydantic brings it and cannot be without it",
    "pytest": "raincheck.testing runs inside the user's own pytest",
}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_modules(source):
    """Yield the top-level names that a module imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.partition(".")[0]


def closure(names):
    """Return the names of all distributions that an install of these brings here."""
    found, waiting = set(), [normal(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for text in distribution(name).requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(normal(requirement.name))
    return found


def test_whatever_is_imported_is_declared():
    """A module that works only because a developer installed something would fail on a user's machine."""
    distributions = packages_distributions()
    declared = {normal(requirement.name) for requirement in [*DECLARED, *OPTIONAL]} | set(ON_PURPOSE)
    undeclared = {
        f"{file.relative_to(PACKAGE)}: {module}"
        for file in PACKAGE.rglob("*.py")
        for module in imported_modules(file.read_text(encoding="utf-8"))
        if module not in sys.stdlib_module_names | {"raincheck", "annotationlib"}
        if not declared & {normal(name) for name in distributions.get(module, ())}
    }
    assert undeclared == set()


def test_the_default_install_is_small():
    """At most twelve packages beyond FastAPI's own."""
    extra = closure(requirement.name for requirement in DECLARED) - closure(["fastapi"])
    assert len(extra) <= 12, sorted(extra)


def test_the_search_sees_all_forms_of_import():
    """Imports inside functions and of submodules count; relative ones do not."""
    source = "def f():\n    import a.b, c\n    from d.e import f\n    from . import g\n"
    assert list(imported_modules(source)) == ["a", "c", "d"]
