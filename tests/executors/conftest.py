"""What the executor tests share."""

from __future__ import annotations

import asyncio

import pytest

from raincheck.executors.process import ProcessExecutor
from tests.executors import child_operations, operations
from tests.executors.invoking import kind_of
from tests.executors.processes import HANG


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request):
    """Run each async test on asyncio's loop and on uvloop."""
    return ("asyncio", {"use_uvloop": request.param == "uvloop"})


@pytest.fixture
async def executor(anyio_backend):
    """Give a started executor with three slots."""
    made = ProcessExecutor(slots=3)
    await made.start([kind_of(operations.add), kind_of(child_operations.where_am_i)])
    yield made
    async with asyncio.timeout(HANG):
        await made.stop()
