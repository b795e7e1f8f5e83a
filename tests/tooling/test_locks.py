"""The locks agree with pyproject.toml, and pip can use them anywhere."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LOCKS = [ROOT / "requirements" / f"{name}.txt" for name in ("dev", "demo", "peers", "peers-arq")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pinned(lock):
    """Return name -> versions; a universal lock may hold several behind markers."""
    versions = {}
    for line in lock.read_text().splitlines():
        if re.match(r"[a-z0-9]", line):
            requirement = Requirement(line.removesuffix("\\"))
            versions.setdefault(requirement.name, []).append(next(iter(requirement.specifier)).version)
    return versions


def wanted(group):
    for entry in PROJECT["dependency-groups"][group]:
        if isinstance(entry, dict):
            yield from wanted(entry["include-group"])
        else:
            yield Requirement(entry)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_holds_what_the_project_asks_for(lock):
    """Whoever changes a dependency runs ``make lock``."""
    versions = pinned(lock)
    runtime = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
    build = [Requirement(text) for text in PROJECT["build-system"]["requires"]]
    for requirement in [*runtime, *build, *wanted(lock.stem)]:
        assert requirement.name in versions, f"{requirement.name} is not locked: make lock"
        for version in versions[requirement.name]:
            assert requirement.specifier.contains(version), f"{requirement} is locked at {version}: make lock"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_names_no_address(lock):
    """It works through any index and mirror, so it must not name one, nor a path of the machine that wrote it."""
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"(?m)^\s*(--index|--extra-index|--find-links|-i|-f)", text)
    assert not re.search(r"(?m)(^|\s)/\w", text)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_locked_file_has_a_hash(lock):
    """The Makefile installs with --require-hashes."""
    for block in re.split(r"(?m)^(?=[a-z0-9])", lock.read_text())[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_the_demo_runs_on_the_versions_that_the_tests_ran_on():
    """demo.txt is part of dev.txt."""
    tested, shown = pinned(LOCKS[0]), pinned(LOCKS[1])
    assert {name: tested.get(name) for name in shown} == shown
