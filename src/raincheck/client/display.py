"""Progress bars in terminals and notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from raincheck.client.notebook import NotebookCell

if TYPE_CHECKING:
    from rich.console import RenderableType

    from raincheck.client.models import OperationState


class ProgressDisplay:
    """A bar for each operation, on stderr so that what a program prints stays clean. Use it as a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        # Rich shows bars in notebooks only where ipywidgets is installed.
        self._cell = NotebookCell() if console.is_jupyter else None
        self._progress = Progress(
            _UntilDone(finished_text=" "),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if self._cell is None:
            self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._cell is None:
            self._progress.stop()
        else:
            self._cell.flush()

    def update(self, state: OperationState) -> None:
        """Show a newer state of one operation."""
        label = f"{_plain(state.kind)} {state.status}"
        fraction = state.progress.fraction if state.progress is not None else None
        task = self._tasks.get(state.id)
        if task is None:
            task = self._tasks[state.id] = self._progress.add_task(label, total=None, note="")
        share = 1.0 if state.succeeded else fraction
        self._progress.update(
            task,
            description=label,
            total=1.0 if share is not None else None,
            completed=share or 0.0,
            note=note_of(state),
        )
        if state.done:
            self._progress.stop_task(task)
        if self._cell is not None:
            self._cell.show(self._progress.get_renderable())

    def print(self, text: str) -> None:
        """Print a line above the bars; text of others cannot steer the terminal."""
        self._progress.console.print(Text(_plain(text)), soft_wrap=True)


class _UntilDone(SpinnerColumn):
    """Spins until the operation is done; Rich takes only what reached its total for finished, not what failed."""

    def render(self, task: Task) -> RenderableType:
        """Return the next turn, or nothing once it is done."""
        return self.finished_text if task.stop_time is not None else super().render(task)


def note_of(state: OperationState) -> str:
    """Return progress, or why it failed, in a few words."""
    if state.error is not None:
        return f"[red]{_escaped(str(state.error))}[/red]"
    told = state.progress
    if told is None or state.done:
        return ""
    share = "" if told.fraction is None else f"{told.fraction:.0%}"
    total = "" if told.total is None else f"/{told.total:.15g}"
    count = "" if told.current is None else f"{told.current:.15g}{total} {told.unit or ''}"
    left = "" if told.eta_seconds is None else f"{told.eta_seconds:.0f}s left"
    return _escaped(" ".join(part.strip() for part in (share, count, told.message or told.stage or "", left) if part))


def _escaped(text: str) -> str:
    return _plain(text).replace("[", r"\[")


def _plain(text: str) -> str:
    """Replace what could steer a terminal."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
