"""The check of the engine that brings queued operations to workers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from raincheck.cli.findings import Finding, ok, problem

if TYPE_CHECKING:
    from raincheck.ports_engines import Engine
    from raincheck.raincheck import Raincheck

_PATIENCE = 15.0


def check_engine(rain: Raincheck) -> Finding:
    """Ask the engine what it finds; nothing is changed there."""
    engine = rain.engine
    if engine is None:
        return ok("engine", "The engine is embedded: workers look for queued operations in the store.")
    try:
        found = asyncio.run(_described(engine))
    except Exception as error:  # noqa: BLE001 - whatever the client of the engine's server raises
        shown = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        remedy = (
            "Check that its server runs and can be reached from here. Operations are accepted meanwhile, and are "
            "brought to workers when it is back."
        )
        return problem("engine", f"The engine {engine.name} cannot be used: {shown}.", remedy)
    return ok("engine", f"The engine is {engine.name}: {found}.")


async def _described(engine: Engine) -> str:
    async with asyncio.timeout(_PATIENCE):
        try:
            return await engine.describe()
        finally:
            await engine.stop()
