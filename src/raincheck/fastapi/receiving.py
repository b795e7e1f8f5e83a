"""Receive webhooks in a FastAPI application."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastapi import HTTPException
from starlette.requests import Request  # noqa: TC002 - FastAPI evaluates the annotation

from raincheck.client.verify import (
    TOLERANCE,
    WebhookEvent,
    WebhookRefused,
    verify_webhook,
)
from raincheck.core.errors import ConfigurationError
from raincheck.core.webhook_secrets import signing_keys

if TYPE_CHECKING:
    from datetime import timedelta

LARGEST_BODY = 1 << 20
logger = logging.getLogger("raincheck.webhooks")


class VerifiedWebhook:
    """A dependency that lets only verified webhooks in.

    Used as ``event: Annotated[WebhookEvent, Depends(VerifiedWebhook("whsec_…"))]``.
    What does not verify gets 400 with the stable reason, a body over the limit 413, and the function does not run.

    :param secrets: ``whsec_…``; several while the secret is being changed.
    :param tolerance: how far the sender's clock may be off.
    :param max_body: bytes of the largest webhook.
    :raises ConfigurationError: a secret cannot be used.
    """

    def __init__(self, *secrets: str, tolerance: timedelta = TOLERANCE, max_body: int = LARGEST_BODY) -> None:
        if max_body < 1:
            msg = f"max_body={max_body} lets no webhook in; give the bytes of the largest one."
            raise ConfigurationError(msg)
        signing_keys(secrets)
        self._secrets = secrets
        self._tolerance = tolerance
        self._max_body = max_body

    async def __call__(self, request: Request) -> WebhookEvent:
        """Return the request's event.

        :raises HTTPException: 400 or 413; the request is no webhook of this sender.
        """
        body = await self._body(request)
        try:
            return verify_webhook(body, request.headers, self._secrets, tolerance=self._tolerance)
        except WebhookRefused as error:
            logger.warning("A request was refused as a webhook: %s", error)
            raise HTTPException(400, detail=error.code) from error

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._max_body:
                raise HTTPException(413, detail="body-too-large")
        return bytes(body)
