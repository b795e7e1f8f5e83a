"""Bars in a notebook's cell: HTML that is replaced as it changes, by what every notebook has."""

from __future__ import annotations

import io
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from rich.console import RenderableType

_WIDTH = 110
_PAUSE = 0.1  # seconds; what a notebook is told more often it shows late
_FORMAT = '<pre style="line-height:normal;font-family:monospace">{code}</pre>'


class NotebookCell:
    """The place below a cell where something is shown that changes."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._shown_at = float("-inf")
        self._waiting: RenderableType | None = None

    def show(self, renderable: RenderableType) -> None:
        """Show something in place of what was shown before, at most ten times a second."""
        self._waiting = renderable
        if time.monotonic() - self._shown_at >= _PAUSE:
            self.flush()

    def flush(self) -> None:
        """Show what came last."""
        if self._waiting is None:
            return
        notebook: Any = import_module("IPython.display")  # there wherever a cell is
        html = notebook.HTML(_html(self._waiting))
        if self._handle is None:
            self._handle = notebook.display(html, display_id=True)
        else:
            self._handle.update(html)
        self._waiting, self._shown_at = None, time.monotonic()


def _html(renderable: RenderableType) -> str:
    console = Console(file=io.StringIO(), record=True, width=_WIDTH, force_jupyter=False, legacy_windows=False)
    console.print(renderable)
    return console.export_html(inline_styles=True, code_format=_FORMAT)
