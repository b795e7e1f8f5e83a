"""What the tests of the documentation share."""

from __future__ import annotations

import logging
import os

import pytest
from opentelemetry import trace
from opentelemetry.util._once import Once

from tests.docs.running import terminal


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A reader's folder and terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PATH", terminal()["PATH"])
    for name in set(os.environ) - set(terminal()):
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture(autouse=True)
def kept_tracing(monkeypatch):
    """A program may set the provider of traces, which a process can do once; the other tests keep theirs."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())


@pytest.fixture
def kept_logging():
    """A program may configure logging; the other tests keep theirs."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
