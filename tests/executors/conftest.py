"""What the executor tests share."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request):
    """Run each async test on asyncio's loop and on uvloop."""
    return ("asyncio", {"use_uvloop": request.param == "uvloop"})
