"""What handlers of the page's routes are, and how they answer."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from raincheck.dashboard.access import Viewer

Handler = Callable[[Request, Viewer], Awaitable[Response]]


def answered(body: Any) -> Response:
    """Return JSON that nobody keeps."""
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(json.dumps(body).encode(), media_type="application/json", headers=headers)
