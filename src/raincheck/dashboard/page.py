"""The page's own files: one document for every view of it, and its built assets."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import HTTPException
from starlette.responses import FileResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request

STATIC = Path(__file__).resolve().parent / "static"
# Nothing inline, nothing from elsewhere, in nobody's frame.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def document(request: Request, *, prefix: str) -> Response:
    """Return the page; its base says where it is below ``root_path`` and the prefix."""
    base = f"{request.scope.get('root_path', '')}{prefix}/dashboard/"
    text = (STATIC / "index.html").read_text(encoding="utf-8")
    shown = text.replace('<base href="/" />', f'<base href="{html.escape(base)}" />')
    return Response(shown, media_type="text/html", headers={**_HEADERS, "Cache-Control": "no-store"})


def asset(name: str) -> Response:
    """Return a built file. Its name changes with its content, so it may be kept for ever.

    :raises HTTPException: 404; there is no such file.
    """
    file = STATIC / "assets" / name
    if "/" in name or name.startswith(".") or file.suffix not in _TYPES or not file.is_file():
        raise HTTPException(404)
    kept = {"Cache-Control": "private, max-age=31536000, immutable"}
    return FileResponse(file, media_type=_TYPES[file.suffix], headers={**_HEADERS, **kept})
