"""Results as the caller's types."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

from raincheck.client.errors import WrongResult


def typed(value: Any, kind: Any) -> Any:
    """Return a JSON value as the type that the caller asked for; Any and None leave it as it is.

    :raises WrongResult: it is not of that type.
    """
    if kind is None or kind is Any:
        return value
    try:
        return TypeAdapter(kind).validate_json(json.dumps(value))
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, wrong["loc"])) or "the result"
        name = getattr(kind, "__name__", str(kind))
        msg = f"The result is no {name}: {where}: {wrong['msg']}."
        raise WrongResult(msg) from error
