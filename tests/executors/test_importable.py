"""Which functions another process can import."""

from __future__ import annotations

import functools

import pytest

from raincheck.core.importable import NotImportable, importable
from tests.executors import operations


def nested():
    def inner():
        pass

    return inner


class Service:
    def method(self):
        pass


def test_a_function_at_the_top_of_a_module_has_a_name():
    """The name is ``module:qualname``."""
    assert importable(operations.add) == "tests.executors.operations:add"


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda: None, "is a lambda"),
        (nested(), "is defined inside nested()"),
        (Service().method, "bound to an object"),
        (functools.partial(nested), "without a name"),
    ],
)
def test_what_cannot_be_imported_is_refused_with_the_reason(function, reason):
    """Each refusal says what the function is and what to do."""
    found = importable(function)
    assert isinstance(found, NotImportable)
    assert reason in found.reason
