"""A binding inside a whole run: from stored text to outcome."""

from __future__ import annotations

import sys
import textwrap
from datetime import timedelta
from typing import Annotated

import pytest
from fastapi import HTTPException
from pydantic import BaseModel

from raincheck.context import OperationContext
from raincheck.core.outcome import Raised, Returned
from raincheck.core.retry import Retry
from raincheck.fastapi.binding import bind
from raincheck.fastapi.signature import Role, analyse
from raincheck.fastapi.worker_depends import WorkerDepends
from raincheck.invocation import Invocation
from raincheck.ports_functions import Binding, Kind
from tests.fastapi.binding.harness import in_thread

pytestmark = pytest.mark.anyio


class Order(BaseModel):
    pages: int


class Report(BaseModel):
    pages: int


def prices():
    yield {"page": 2}


def build(order: Order, op: OperationContext, found: Annotated[dict, WorkerDepends(prices)]) -> Report:
    op.progress(1, 1)
    if order.pages == 0:
        raise HTTPException(404, "no pages")
    if order.pages < 0:
        return {"pages": None}
    return Report(pages=order.pages * found["page"])


def invocation(function, stored, tmp_path, **more) -> Invocation:
    binding: Binding = bind(function, executor="thread")
    kind = Kind(
        name="build",
        function=function,
        executor="thread",
        retry=Retry(),
        timeout=None,
        max_losses=3,
        retention=timedelta(days=7),
        memory_limit=None,
        queue="default",
        priority=0,
        wait=timedelta(0),
        binding=binding,
    )
    context = OperationContext()
    return Invocation(
        kind=kind, context=context, stored=stored, files={}, staging=lambda: tmp_path, max_result=1 << 20, **more
    )


def stored(pages: object) -> str:
    return f'{{"v":1,"type":"application/json","body":"{{\\"pages\\": {pages}}}"}}'


async def test_a_stored_request_becomes_a_result(tmp_path) -> None:
    """Arguments, context, worker dependencies, function, rendering: one run."""
    outcome = await invocation(build, stored(3), tmp_path).perform(in_thread)
    assert outcome == Returned(status_code=200, media_type="application/json", body=b'{"pages":6}')


async def test_handed_over_values_are_used_as_they_are(tmp_path) -> None:
    """A first run in the accepting process needs no stored text."""
    outcome = await invocation(build, "", tmp_path, values={"order": Order(pages=1)}).perform(in_thread)
    assert outcome.body == b'{"pages":2}'


@pytest.mark.parametrize(
    ("pages", "code", "detail"),
    [
        (0, "http-error", "no pages"),
        (-1, "result-mismatch", "response.pages: Input should be a valid integer"),
        ('\\"x\\"', "input-mismatch", "body.pages: Input should be a valid integer"),
    ],
)
async def test_failures_have_their_codes(pages, code, detail, tmp_path) -> None:
    """What the function raised, what it returned wrongly and what no longer fits are told apart."""
    outcome = await invocation(build, stored(pages), tmp_path).perform(in_thread)
    assert isinstance(outcome, Raised)
    assert outcome.error.code == code
    assert outcome.error.detail.startswith(detail)


def boast() -> None:
    raise ValueError("x" * 1_000_000 + " the end")


async def test_a_very_long_traceback_loses_its_middle(tmp_path) -> None:
    """It is kept with the operation and shown in lists: an error that quotes a file must not make a megabyte of it."""
    outcome = await invocation(boast, '{"v":1}', tmp_path).perform(in_thread)
    assert len(outcome.traceback) < 70_000
    assert outcome.traceback.startswith("Traceback (most recent call last)")
    assert "characters are left out" in outcome.traceback
    assert outcome.traceback.endswith(" the end\n")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="PEP 695 came with 3.12")
def test_type_aliases_are_opened() -> None:
    """``type Alias = ...`` may hold a mark, a context, or a result."""
    module: dict[str, object] = {"__name__": "aliased"}
    code = """
        from typing import Annotated
        from fastapi import Depends, Query
        from raincheck.context import OperationContext
        from raincheck.fastapi.worker_depends import WorkerDepends

        def number() -> int: return 1
        type Context = OperationContext
        type Later = Annotated[int, WorkerDepends(number)]
        type Now = Annotated[int, Depends(number)]
        type Small = Annotated[int, Query(lt=5)]
        type Numbers = list[int]
        def function(op: Context, a: Later, b: Now, c: Small) -> Numbers: return [a, b, c]
    """
    exec(textwrap.dedent(code), module)
    plan = analyse(module["function"], executor="async")
    assert [p.role for p in plan.parameters] == [Role.CONTEXT, Role.WORKER, Role.DEPENDS, Role.FIELD]
    assert bind(module["function"], executor="async").render([1], {}, staging=None).body == b"[1]"
