"""Who owns what: the owner dependency on every route that touches operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends

from raincheck.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable


async def nobody() -> str:
    """Return the owner of everything where no owner rule is configured."""
    return ""


def owner_parameter(owner: Callable[..., Any] | None) -> Any:
    """Return the annotation of a route's owner parameter.

    The stored owner is never NULL, since unique indexes need it; without an owner rule it is ``''``.
    """
    if owner is None:
        return Annotated[str, Depends(nobody)]

    async def checked(found: Any) -> str:
        if not isinstance(found, str) or not found:
            name = getattr(owner, "__qualname__", repr(owner))
            msg = f"owner={name} returned {found!r}; it must return a non-empty str, or raise HTTPException(401)."
            raise ConfigurationError(msg)
        return found

    # Written here, since FastAPI cannot evaluate an annotation in text that names a local variable.
    checked.__annotations__["found"] = Annotated[Any, Depends(owner)]
    return Annotated[str, Depends(checked)]
