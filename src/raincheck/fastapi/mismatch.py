"""Validation errors as texts that a client may read: places and rules, never values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from pydantic_core import core_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# These messages are written by the user's validators or repeat a part of the input.
_TELLING = frozenset({"value_error", "assertion_error", "union_tag_invalid", "json_invalid", "custom_error"})
_QUIET = frozenset(get_args(core_schema.ErrorType)) - _TELLING
_SHOWN = 10


def safe_text(errors: Iterable[Mapping[str, Any]], *, at: Sequence[str | int] = ()) -> str:
    """Return ``place: message`` for each error, without values of the input.

    :param at: where the validated value itself belongs.
    """
    found = list(errors)
    lines = [_line(error, at) for error in found[:_SHOWN]]
    if len(found) > _SHOWN:
        lines.append(f"and {len(found) - _SHOWN} more")
    return "; ".join(lines)


def _line(error: Mapping[str, Any], at: Sequence[str | int]) -> str:
    place = ".".join(str(part) for part in (*at, *error["loc"]))
    kind = error["type"]
    message = error["msg"] if kind in _QUIET else f"refused by a validator ({kind})"
    return f"{place}: {message}" if place else str(message)
