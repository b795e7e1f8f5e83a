"""schemathesis against a real server: whatever the document allows works, whatever it forbids is refused.

Bounded here; ``python -m tests.openapi.fuzz`` goes deeper.
"""

from __future__ import annotations

import subprocess

import pytest

from tests.openapi.fuzz import command
from tests.openapi.server import ROOT, served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
SEED = 20261


def examined(*, owned, phases, cases):
    with served(owned=owned) as url:
        run = subprocess.run(
            command(url, phases=phases, cases=cases, seed=SEED),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    return run.returncode, f"{run.stdout}\n{run.stderr}"


@pytest.mark.long
def test_every_value_that_the_document_names_is_answered_as_documented():
    """The edges of each parameter, header and body, valid and not: every check of schemathesis passes."""
    failed, report = examined(owned=False, phases=("examples", "coverage"), cases=5)
    assert not failed, report


def test_random_requests_and_sequences_of_callers_are_answered_as_documented():
    """With an owner rule: random requests, and sequences along the links (submit, read, cancel, retry, delete)."""
    failed, report = examined(owned=True, phases=("examples", "fuzzing", "stateful"), cases=6)
    assert not failed, report


def test_the_run_finds_an_endpoint_that_breaks_its_promise():
    """The tests above can fail: an undocumented answer is found."""
    with served(broken=True) as url:
        line = command(url, phases=("fuzzing",), cases=5, seed=SEED)
        run = subprocess.run(
            [*line, "--include-path", "/broken"], cwd=ROOT, capture_output=True, text=True, check=False
        )
    assert run.returncode == 1, run.stdout
    assert "Undocumented status code" in run.stdout, run.stdout
