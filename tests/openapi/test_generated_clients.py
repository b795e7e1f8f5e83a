"""Clients that today's generators make of the document are typed, and the Python one really works."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import OPENAPI_PAGE, blocks
from tests.openapi.application import application
from tests.openapi.server import served

HERE = Path(__file__).parent
pytestmark = [pytest.mark.long, pytest.mark.slow, pytest.mark.timeout(300)]


def written(app, folder):
    file = folder / "openapi.json"
    file.write_text(json.dumps(app.openapi()), encoding="utf-8")
    return file


def generate_python(document, folder):
    """Generate a package with openapi-python-client and return what it said."""
    generator = Path(sys.executable).with_name("openapi-python-client")
    run = subprocess.run(
        [generator, "generate", "--path", document, "--output-path", folder, "--meta", "none"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def python_client(tmp_path_factory):
    """The package that openapi-python-client makes of the test application, importable."""
    folder = tmp_path_factory.mktemp("python")
    said = generate_python(written(application(store="memory:", owned=False), folder), folder / "raincheck_generated")
    assert "will not be generated" not in said, said
    sys.path.insert(0, str(folder))
    try:
        yield lambda name: importlib.import_module(f"raincheck_generated.{name}")
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.startswith("raincheck_generated")]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def url():
    """The address of one server for all clients; each request has a key or a title of its own."""
    with served() as address:
        yield address


def test_the_python_client_submits_and_polls_typed(python_client, url):
    """Submit, wait for the operation, and read its result as the model of the document."""
    models = python_client("models")
    create_report = python_client("api.default.create_report")
    get_operation = python_client("api.operations.get_operation")
    with python_client("client").Client(base_url=url) as client:
        order = models.ReportRequest(pages=3, title="Rain")
        submitted = create_report.sync_detailed(client=client, body=order)
        assert submitted.status_code == 202
        assert isinstance(submitted.parsed, models.ReportOperation)
        operation = get_operation.sync(submitted.parsed.id, client=client, wait=30)
        assert isinstance(operation, models.Operation)
        assert operation.status is models.OperationStatus.SUCCEEDED
        finished = create_report.sync_detailed(client=client, body=order, prefer="wait=30")
        assert isinstance(finished.parsed, models.Report)
        assert [chapter.pages for chapter in finished.parsed.chapters] == [3]


def test_the_python_client_types_the_result_in_the_operation(python_client, url):
    """A repeated submit gives the finished `ReportOperation`, whose result is a Report."""
    models = python_client("models")
    create_report = python_client("api.default.create_report")
    get_operation = python_client("api.operations.get_operation")
    with python_client("client").Client(base_url=url) as client:
        request = {"client": client, "body": models.ReportRequest(pages=2, title="Rain"), "idempotency_key": "one"}
        assert create_report.sync(**request).result is None
        get_operation.sync(create_report.sync(**request).id, client=client, wait=30)
        again = create_report.sync(**request)
        assert isinstance(again, models.ReportOperation)
        assert isinstance(again.result, models.Report)


def test_the_python_client_types_errors(python_client, url):
    """Problems, FastAPI's validation errors, and what a function raises on purpose; none of them breaks the client."""
    models = python_client("models")
    create_report = python_client("api.default.create_report")
    refuse = python_client("api.default.refuse")
    get_operation = python_client("api.operations.get_operation")
    with python_client("client").Client(base_url=url) as client:
        missing = get_operation.sync("op_unknown", client=client)
        assert isinstance(missing, models.OperationProblem)
        assert missing.type_ == "urn:raincheck:problem:operation-not-found"
        invalid = create_report.sync(client=client, body=models.ReportRequest(pages=0, title="Rain"))
        assert isinstance(invalid, models.HTTPValidationError)
        for title, expected in (("One", models.ReportOperation), ("Two", models.OperationProblem)):
            order = models.ReportRequest(pages=1, title=title)
            assert isinstance(create_report.sync(client=client, body=order, idempotency_key="key"), expected)
        assert isinstance(refuse.sync(client=client, status=404, prefer="wait=30"), models.HTTPError)
        assert isinstance(refuse.sync(client=client, status=405, prefer="wait=30"), models.OperationProblem)


def test_the_program_of_the_documentation_runs_with_the_generated_client(python_client, url):
    """As printed, but for the package's name and the server's address."""
    (block,) = blocks(OPENAPI_PAGE, "python")
    python_client("client")
    program = block.text.replace("shop_client", "raincheck_generated").replace("http://127.0.0.1:8000", url)
    exec(compile(program, str(OPENAPI_PAGE), "exec"), {})


def test_the_demo_gives_a_typed_python_client(tmp_path):
    """No endpoint of the demo is left out."""
    demo = pytest.importorskip("raincheck.demo.app", reason="the demo's own packages are not installed")
    said = generate_python(written(demo.app, tmp_path), tmp_path / "demo_client")
    assert "will not be generated" not in said, said
    generated = (tmp_path / "demo_client" / "models" / "import_report_operation.py").read_text(encoding="utf-8")
    assert "result: ImportReport | None" in generated


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory):
    """A folder with the pinned openapi-typescript and TypeScript."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("typescript")
    for name in ("package.json", "package-lock.json", "program.ts"):
        shutil.copy(HERE / name, folder)
    install = [npm, "ci", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=20000"]
    try:
        run = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False, timeout=150)
    except subprocess.TimeoutExpired:
        pytest.skip("the npm registry does not answer")
    unreachable = ("ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN", "ECONNRESET", "network")
    if run.returncode and any(word in run.stderr for word in unreachable):
        pytest.skip("the npm registry is not reachable")
    assert run.returncode == 0, run.stderr
    return folder


def compiled(folder, document, program="program.ts"):
    """Generate the types and return the compiler's exit status and output for a program that uses them."""
    binaries = folder / "node_modules" / ".bin"
    subprocess.run([binaries / "openapi-typescript", document, "-o", "schema.d.ts"], cwd=folder, check=True)
    options = ["--strict", "--noEmit", "--target", "es2022", "--module", "nodenext", "--moduleResolution", "nodenext"]
    run = subprocess.run([binaries / "tsc", *options, program], cwd=folder, capture_output=True, text=True, check=False)
    return run.returncode, run.stdout


def test_typescript_programs_are_typed(node_modules):
    """program.ts: the result is a Report or null, the status a union of strings, problems have their fields."""
    document = written(application(store="memory:", owned=False), node_modules)
    status, said = compiled(node_modules, document)
    assert status == 0, said


def test_typescript_finds_a_wrong_type(node_modules):
    """The test above can fail: with an untyped operation the program does not compile."""
    document = application(store="memory:", owned=False).openapi()
    document["components"]["schemas"]["ReportOperation"]["properties"]["result"] = {}
    file = node_modules / "untyped.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    status, said = compiled(node_modules, file)
    assert status != 0
    assert "program.ts" in said


def test_the_demo_gives_typescript_types(node_modules):
    """An import's operation carries an ImportReport."""
    demo = pytest.importorskip("raincheck.demo.app", reason="the demo's own packages are not installed")
    (node_modules / "demo.ts").write_text(
        'import type { components } from "./schema.js";\n'
        'type Schemas = components["schemas"];\n'
        'export const rows = (done: Schemas["ImportReportOperation"]): number => done.result?.rows ?? 0;\n'
        'export const status: Schemas["OperationStatus"] = "queued";\n',
        encoding="utf-8",
    )
    status, said = compiled(node_modules, written(demo.app, node_modules), "demo.ts")
    assert status == 0, said


def test_the_lock_names_no_registry():
    """So that every machine installs from its own."""
    text = (HERE / "package-lock.json").read_text(encoding="utf-8")
    assert "resolved" not in text
