"""The wheel is all that a newcomer needs: what is in it, and the demo from nothing but it."""

import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import httpx2
import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

from raincheck.cli import app, demonstrating
from tests.demo.running_demo import PATIENCE, ROOT, RunningDemo

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGE = ROOT / "src" / "raincheck"
NOT_SHIPPED = {"__pycache__"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that `pip wheel .` makes of a copy of this folder."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    ran = subprocess.run(
        [*command, "--no-index", "--wheel-dir", folder, ROOT], capture_output=True, text=True, check=False, cwd=folder
    )
    assert ran.returncode == 0, ran.stderr
    (made,) = folder.glob("raincheck-*.whl")
    return made


@pytest.fixture(scope="module")
def fresh_python(wheel, tmp_path_factory):
    """The interpreter of a fresh environment with the wheel and the packages that it needs, and without this folder."""
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*install, wheel], check=True, capture_output=True)
    # The packages are this environment's own, but for the project itself: lines of .pth files count in none but the
    # folders that `site` looks through, so an editable install of this one stays outside.
    site = sysconfig.get_path("purelib", vars={"base": str(folder)})
    shared = [path for path in sys.path if Path(path).name == "site-packages"]
    (Path(site) / "shared.pth").write_text("\n".join(shared), encoding="utf-8")
    return python


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    """Each file of the package is in it: the page's assets, migrations and queries too; none of tests or tools."""
    with zipfile.ZipFile(wheel) as opened:
        held = {name for name in opened.namelist() if ".dist-info/" not in name}
    kept = {
        f"raincheck/{file.relative_to(PACKAGE)}"
        for file in PACKAGE.rglob("*")
        if file.is_file() and not NOT_SHIPPED & set(file.parts)
    }
    assert held == kept
    for pattern in (
        "dashboard/static/assets/index-*.js",
        "stores/*/migrations/*.sql",
        "stores/*/queries/*.sql",
        "py.typed",
    ):
        assert any(Path(name).match(f"raincheck/{pattern}") for name in held), pattern
    assert not [name for name in held if "/test_" in name or name.endswith((".db", ".ts", ".svelte"))]


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_demo_runs_from_the_wheel_alone(fresh_python, tmp_path):
    """Installed in a fresh environment, in an empty folder: application, page, an operation and its webhook."""
    where = "import raincheck, pathlib; print(pathlib.Path(raincheck.__file__).parents[1])"
    found = subprocess.run(
        [fresh_python, "-c", where], capture_output=True, text=True, check=True, cwd=tmp_path, env={}
    ).stdout
    assert Path(found.strip()).is_relative_to(fresh_python.parents[1])
    demo = RunningDemo("", python=str(fresh_python), cwd=tmp_path)
    try:
        demo.wait_for("Ctrl-C ends the demo")
        with httpx2.Client(base_url=demo.url, timeout=PATIENCE, trust_env=False, verify=False) as client:
            assert '<div id="app">' in client.get("/dashboard").text
            answer = client.post("/fractals", json={"width": 128, "height": 128}, headers={"Prefer": "wait=60"})
            assert answer.content.startswith(b"\x89PNG")
            (webhook,) = client.get("/arrived", params={"operation": answer.headers["Operation-Id"]}).json()
            assert webhook["type"] == "operation.succeeded"
        assert demo.end() == 0
        assert (tmp_path / ".raincheck-demo" / "operations.db").exists()
        assert not list(fresh_python.parents[1].rglob("*.db"))
    finally:
        demo.kill_all()


def test_without_its_packages_the_demo_names_the_extra(monkeypatch):
    """Whoever installed Raincheck alone learns the command that adds them, in one sentence."""
    monkeypatch.setattr(demonstrating, "find_spec", lambda name: None if name == "PIL" else object())
    said = CliRunner().invoke(app, ["demo"])
    assert said.exit_code == 2
    assert "not installed: pillow. Install them: pip install 'raincheck[demo]'." in said.stderr


def test_what_the_demo_asks_for_is_what_its_extra_brings():
    """The extra, the group that `make demo` installs, and the question before the start name the same packages."""
    extra = [Requirement(text) for text in PROJECT["project"]["optional-dependencies"]["demo"]]
    group = [Requirement(text) for text in PROJECT["dependency-groups"]["demo"]]
    build = {"editables", "hatchling"}
    assert {str(each) for each in extra} == {str(each) for each in group if each.name not in build}
    asked = set(demonstrating.NEEDED.values())
    assert asked == {packages_distributions()[name][0] for name in demonstrating.NEEDED}
    assert asked | {"httptools", "stamina", "uvloop", "websockets"} == {each.name for each in extra}
