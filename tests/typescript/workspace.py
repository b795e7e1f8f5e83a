"""The npm workspace of the client and the page: installed from the lock, once for all test processes."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "clients" / "typescript"
DASHBOARD = ROOT / "dashboard"
_OLDEST_NODE = (20, 19)
_UNREACHABLE = ("ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN", "ECONNRESET", "network")
_MANIFESTS = ("package.json", "package-lock.json", "clients/typescript/package.json", "dashboard/package.json")


def require_packages() -> None:
    """Install what the lock says, or skip: no Node, no npm, or no registry."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if tuple(int(part) for part in version.lstrip("v").split(".")[:2]) < _OLDEST_NODE:
        pytest.skip(f"node {version} is older than 20.19")
    state = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in _MANIFESTS)).hexdigest()
    with _locked():
        stamp = ROOT / "node_modules" / ".installed"
        if not stamp.exists() or stamp.read_text() != state:
            _install(npm)
            stamp.write_text(state)


def _install(npm: str) -> None:
    command = [npm, "ci", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=20000"]
    try:
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    except subprocess.TimeoutExpired:
        pytest.skip("the npm registry does not answer")
    if run.returncode and any(word in run.stderr for word in _UNREACHABLE):
        pytest.skip("the npm registry is not reachable")
    assert run.returncode == 0, run.stderr


class _locked:  # noqa: N801 - reads as a phrase
    """Hold other test processes back while this one installs or compiles."""

    def __enter__(self) -> None:
        folder = ROOT / "node_modules"
        folder.mkdir(exist_ok=True)
        # Beside the packages, since npm removes all that is among them.
        self._file = os.open(ROOT / ".npm-lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *exception: object) -> None:
        os.close(self._file)


def run(*command: str | Path, cwd: Path, timeout: float = 120, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the workspace and return what it said."""
    environment = {**os.environ, "NO_COLOR": "1", **variables}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def tool(name: str) -> Path:
    """Return a program that a package installed."""
    return ROOT / "node_modules" / ".bin" / name


@functools.cache
def compiled_client() -> Path:
    """Compile the client and its tests as they are, and return where."""
    require_packages()
    with _locked():
        for project in ("tsconfig.build.json", "tsconfig.test.json"):
            said = run(tool("tsc"), "--project", project, cwd=CLIENT)
            assert said.returncode == 0, said.stdout
    return CLIENT / "build"
