"""docs/settings.md says what the environment does."""

import importlib.util
import re

import pytest

from raincheck import ConfigurationError, Raincheck, Settings
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "settings.md"
ROWS = re.findall(r"(?m)^\| `(RAINCHECK_\w+)` \| (.+?) \| (.+) \|$", PAGE.read_text(encoding="utf-8"))
OTHERS = {
    "engine": "embedded",
    "executors": "async",
    "store": "memory:",
    "store_direct": "postgresql://server/database",
    "workers": "false",
    "health": "false",
    "freeze": "false",
    "prefix": "/api",
    "queues": "slow,fast",
    "lease": "1m",
    "drain": "500ms",
    "max_body": "1KiB",
    "public_url": "https://api.example.com",
    "max_result": "2GB",
}


@pytest.fixture(autouse=True)
def plain_environment(reader):
    """No settings of ours."""


@pytest.fixture
def generator():
    spec = importlib.util.spec_from_file_location("generate_settings", ROOT / "tools" / "generate_settings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(generator):
    """Whoever changes a setting runs the generator."""
    text = PAGE.read_text(encoding="utf-8")
    assert generator.page(text) == text, "python tools/generate_settings.py"


def test_an_edited_table_is_found_out(generator):
    """The check above can fail, and does not touch what was written by hand."""
    text = PAGE.read_text(encoding="utf-8")
    assert generator.page(text.replace("`15s`", "`16s`").replace("# Settings", "# Set")) == text.replace(
        "# Settings", "# Set"
    )


@pytest.mark.parametrize(("variable", "default"), [row[:2] for row in ROWS if row[1].startswith("`")])
def test_a_default_can_be_written_as_the_page_shows_it(variable, default, monkeypatch):
    """An operator who sets a variable to its default changes nothing."""
    monkeypatch.setenv(variable, default.strip("`"))
    given = Settings()
    monkeypatch.delenv(variable)
    assert given == Settings()


@pytest.mark.parametrize("variable", [row[0] for row in ROWS])
def test_a_variable_of_the_page_changes_its_setting(variable, monkeypatch):
    """Each name on the page is one that is read."""
    name = variable.removeprefix("RAINCHECK_").lower()
    if name == "store_direct":  # it stands beside a pooler's URL only
        monkeypatch.setenv("RAINCHECK_STORE", "postgresql://pooler/database")
    before = getattr(Raincheck().settings, name)
    monkeypatch.setenv(variable, OTHERS.get(name, "77"))
    assert getattr(Raincheck().settings, name) != before


def test_every_setting_is_on_the_page():
    """And none that is gone."""
    assert [row[0] for row in ROWS] == [f"RAINCHECK_{name.upper()}" for name in Settings.model_fields]


def test_a_keyword_outranks_the_environment(monkeypatch):
    """As the page says; also within Settings(...)."""
    monkeypatch.setenv("RAINCHECK_STORE", "sqlite:///environment.db")
    monkeypatch.setenv("RAINCHECK_LEASE", "1m")
    assert Raincheck(store="memory:").settings.store == "memory:"
    assert Raincheck(settings=Settings(lease="30s")).settings.lease.total_seconds() == 30


def test_a_value_that_cannot_be_used_names_its_variable(monkeypatch):
    """The operator knows what to correct."""
    monkeypatch.setenv("RAINCHECK_LEASE", "soon")
    with pytest.raises(ConfigurationError, match="RAINCHECK_LEASE"):
        Raincheck()


@pytest.mark.parametrize("lease", ["0", "0s", "99ms"])
def test_a_lease_too_short_to_be_renewed_is_refused(monkeypatch, lease):
    """The heartbeat beats three times in a lease and the reaper looks six times: of one of nothing, without a pause."""
    monkeypatch.setenv("RAINCHECK_LEASE", lease)
    with pytest.raises(ConfigurationError, match=r"RAINCHECK_LEASE: .* greater than or equal to"):
        Raincheck()
    monkeypatch.setenv("RAINCHECK_LEASE", "100ms")
    assert Raincheck().settings.lease.total_seconds() == 0.1
