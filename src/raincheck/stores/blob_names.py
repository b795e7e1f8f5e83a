"""Names of blobs: ``<operation>/<run>/<name>``."""

from __future__ import annotations

import re

from raincheck.core.names import is_operation_id

_RUN = re.compile(r"[0-9]{1,10}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def parsed(name: str) -> tuple[str, str, str]:
    """Return the operation, the run and the last part.

    :raises ValueError: the name has another form.
    """
    operation, _, rest = name.partition("/")
    run, _, last = rest.partition("/")
    if not (is_operation_id(operation) and _RUN.fullmatch(run) and is_last_part(last)):
        msg = f"{name!r} is not a blob name; it must read <operation id>/<run>/<name of letters, digits, . _ ->"
        raise ValueError(msg)
    return operation, run, last


def is_last_part(text: str) -> bool:
    """Tell whether a text can be the last part."""
    return _NAME.fullmatch(text) is not None
