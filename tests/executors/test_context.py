"""What a function may hand to its context, and what the readers get."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from raincheck.context import OperationContext
from raincheck.executors._wire import encode_progress


def told(**values):
    """Return the progress that was told, and check that every store and wire can hold it."""
    op = OperationContext()
    op.progress(**values)
    [progress] = op.recorder.progresses
    fields = {name: getattr(progress, name) for name in ("fraction", "current", "total", "unit", "message", "stage")}
    assert json.loads(json.dumps(fields, allow_nan=False)) == fields
    assert encode_progress(progress)
    return progress


@pytest.mark.parametrize(
    ("current", "total"),
    [
        (np.int64(3), np.int64(4)),
        (np.float32(3), np.float32(4)),
        (Decimal(3), Decimal(4)),
        (Fraction(3), Fraction(4)),
        (3, 4.0),
    ],
)
def test_numbers_of_every_library_are_numbers(current, total) -> None:
    """One that JSON cannot hold would end the run as if its worker had been lost."""
    progress = told(current=current, total=total)
    assert (progress.fraction, progress.current, progress.total) == (0.75, 3, 4)
    assert told(fraction=current / total).fraction == 0.75


def test_texts_are_shown_as_texts() -> None:
    """A path or an error is a message too."""
    progress = told(message=Path("a/b"), unit=1, stage=ValueError("odd"))
    assert (progress.message, progress.unit, progress.stage) == ("a/b", "1", "odd")


@pytest.mark.parametrize("number", [float("nan"), float("-inf"), 10**400, Decimal("NaN")])
def test_what_is_not_finite_is_refused_by_its_name(number) -> None:
    """Where it is said, not where it is written."""
    with pytest.raises(ValueError, match=r"progress\(total=.*finite"):
        OperationContext().progress(1, number)


def test_what_is_no_number_is_refused_by_its_name() -> None:
    """Where it is said, not where it is written."""
    with pytest.raises(TypeError, match=r"progress\(current='3 of 4'\): this must be a number"):
        OperationContext().progress("3 of 4")
