"""Refusing what a path does not take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class OtherMethods:
    """Answers 405 with all methods of a path; by itself each route would only name its own (RFC 9110 §15.5.6)."""

    def __init__(self, allowed: str) -> None:
        self._allowed = allowed

    async def __call__(self, _scope: Scope, _receive: Receive, _send: Send) -> None:
        """Refuse."""
        raise HTTPException(405, headers={"Allow": self._allowed})
