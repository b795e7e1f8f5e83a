"""Keeps the garbage collector away from the modules, models and routes that were loaded before the start."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_FROZEN_BY: list[object] = []


@contextlib.contextmanager
def loaded_objects_frozen() -> Iterator[None]:
    """Freeze what exists while at least one Raincheck of this process runs, unless the application has frozen already.

    Requests that wait for a commit outlive young collections, so a server under load collects its whole heap again
    and again: with FastAPI's 300,000 objects that took a third of all time. Frozen objects are still freed when
    nothing refers to them; only cycles among them stay, until the last Raincheck stops.
    """
    ours = bool(_FROZEN_BY) or gc.get_freeze_count() == 0
    mark = object()
    if ours:
        _FROZEN_BY.append(mark)
        gc.freeze()
    try:
        yield
    finally:
        if ours:
            _FROZEN_BY.remove(mark)
            if not _FROZEN_BY:
                gc.unfreeze()
