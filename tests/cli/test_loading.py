"""Finding the Raincheck object by the name given on the command line."""

from __future__ import annotations

import itertools
import sys

import pytest

from raincheck.cli.ending import UsageError
from raincheck.cli.loading import load
from raincheck.core.errors import ConfigurationError, DefinitionError

NUMBERS = itertools.count()
RAIN = "from fastapi import FastAPI\nfrom raincheck import Raincheck\napp = FastAPI()\nrain = Raincheck(app)\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes a module into the current folder and returns its name, new in each test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(tmp_path)])

    def module(text):
        name = f"loaded_{next(NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return module


def test_a_named_object_is_found_in_the_current_folder(write):
    """The console script does not have the current folder on its path; the loader puts it there."""
    name = write(RAIN)
    assert load(f"{name}:rain") is sys.modules[name].rain


def test_a_dotted_name_leads_into_objects(write):
    """An object may hold the Raincheck."""
    name = write(RAIN + "class Services: pass\nservices = Services()\nservices.rain = rain\n")
    assert load(f"{name}:services.rain") is sys.modules[name].rain


def test_the_only_object_of_a_module_needs_no_name(write):
    """A second name for the same object does not make it two."""
    name = write(RAIN + "alias = rain\n")
    assert load(name) is sys.modules[name].rain


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        (RAIN, "{}:missing", "has no 'missing'. Write {}:rain."),
        (RAIN, "{}:app", "is a FastAPI, not a Raincheck object. Write {}:rain."),
        (RAIN + "other = Raincheck()\n", "{}", "several Raincheck objects. Write {}:other or {}:rain."),
        ("x = 1\n", "{}", "no Raincheck object. Name the module that makes it"),
        (RAIN, "{}.py", "Write it like an import, such as {}:rain."),
        (RAIN, "{}:", "is not of the form module:name"),
        (RAIN, "no_such_module:rain", "There is no module 'no_such_module'"),
        (RAIN, "{}.sub:rain", "There is no module '{}.sub'"),
    ],
)
def test_a_wrong_name_is_a_usage_error_with_the_next_step(write, text, target, message):
    """The message names what to write instead."""
    name = write(text)
    with pytest.raises(UsageError) as raised:
        load(target.replace("{}", name))
    assert message.replace("{}", name) in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\nb = nothing\n", "NameError: name 'nothing' is not defined"),
        ("a = 1\nimport not_installed_anywhere\n", "No module named 'not_installed_anywhere'"),
        ("a = 1\nb = (\n", "SyntaxError"),
    ],
)
def test_a_failing_import_tells_the_error_and_the_line(write, text, message):
    """Not a usage error: the module is there, but the user's own code fails; a missing import of it is not its name."""
    name = write(text)
    with pytest.raises(ConfigurationError) as raised:
        load(f"{name}:rain")
    assert not isinstance(raised.value, UsageError)
    assert message in str(raised.value)
    assert f"{name}.py, line 2" in str(raised.value)


def test_an_error_of_raincheck_itself_passes_unchanged(write):
    """A function that cannot be an operation is reported in its own words."""
    name = write(RAIN + "@rain.post('/x', executor='fast')\ndef x() -> int: ...\n")
    with pytest.raises(DefinitionError, match="executor='fast' is unknown"):
        load(f"{name}:rain")
