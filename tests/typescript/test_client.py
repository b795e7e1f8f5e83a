"""The TypeScript client: its own tests, its types, its size, its format."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from tests.openapi.application import application
from tests.typescript.workspace import CLIENT, ROOT, compiled_client, require_packages, run, tool

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.mark.parametrize("name", sorted(file.name for file in (CLIENT / "test").glob("*.test.ts")))
def test_its_own_tests_pass(name):
    """Each file of node:test, against servers in its own process and the wire vectors of all clients."""
    build = compiled_client()
    said = run("node", "--test", build / "test" / name.replace(".ts", ".js"), cwd=CLIENT)
    assert said.returncode == 0, said.stdout[-6000:]
    passed = re.search(r"^# pass (\d+)$", said.stdout, re.MULTILINE)
    assert passed, said.stdout
    assert int(passed[1]) > 0, said.stdout


def type_check(folder, *, program="program.ts"):
    """Compile a program beside the application's generated types, as a user of the package does."""
    options = ["--strict", "--noEmit", "--target", "es2022", "--module", "nodenext", "--moduleResolution", "nodenext"]
    options += ["--jsx", "react-jsx", "--types", "node", "--lib", "es2023,dom,dom.iterable,dom.asynciterable"]
    return run(tool("tsc"), *options, program, cwd=folder)


@pytest.fixture
def typed():
    """A folder with a program and the types of tests/openapi's application, where the package can be imported."""
    folder = compiled_client() / "types"
    folder.mkdir(exist_ok=True)
    document = application(store="memory:", owned=False).openapi()
    (folder / "openapi.json").write_text(json.dumps(document), encoding="utf-8")
    made = run(tool("openapi-typescript"), "openapi.json", "-o", "schema.d.ts", cwd=folder)
    assert made.returncode == 0, made.stderr
    shutil.copy(CLIENT / "typetests" / "program.ts", folder)
    return folder


def test_programs_are_typed_by_the_applications_document(typed):
    """typetests/program.ts: paths, inputs and results are the document's, and eight mistakes are found."""
    said = type_check(typed)
    assert said.returncode == 0, said.stdout


def test_a_mistake_that_is_none_is_found(typed):
    """The test above can fail: an expected error that does not come is one."""
    program = typed / "mistaken.ts"
    text = (typed / "program.ts").read_text(encoding="utf-8")
    program.write_text(text.replace('client.submit("/report", {', 'client.submit("/reports", {'), encoding="utf-8")
    said = type_check(typed, program="mistaken.ts")
    assert "Unused '@ts-expect-error'" in said.stdout


def test_it_is_small():
    """At most 6 KiB of its own, gzipped, and 7.25 KiB with its one dependency."""
    require_packages()
    said = run("node", "tools/size.mjs", cwd=CLIENT)
    assert said.returncode == 0, said.stdout + said.stderr
    manifest = json.loads((CLIENT / "package.json").read_text(encoding="utf-8"))
    assert list(manifest["dependencies"]) == ["eventsource-parser"]


def test_sources_are_formatted():
    """As prettier does it: ``npm run format`` at the root."""
    require_packages()
    said = run(tool("prettier"), "--check", ".", cwd=ROOT)
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_lock_names_no_registry():
    """So that every machine installs from its own."""
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    places = {entry["resolved"] for entry in lock["packages"].values() if "resolved" in entry}
    assert places == {"clients/typescript", "dashboard"}
