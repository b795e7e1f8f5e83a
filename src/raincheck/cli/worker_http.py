"""The one HTTP port of a worker, for those who watch it: probes and metrics, and nothing that clients use."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import TYPE_CHECKING

from raincheck.cli.worker_log import told
from raincheck.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.types import ASGIApp

logger = logging.getLogger("raincheck.worker")
_GRACE = 1  # seconds for a probe that is being answered while the worker ends


@contextlib.asynccontextmanager
async def watched(application: ASGIApp, *, host: str, port: int) -> AsyncIterator[None]:
    """Serve an application inside, in this event loop: a worker whose loop is stuck does not answer.

    :raises ConfigurationError: the port cannot be listened on, or uvicorn is not installed.
    """
    try:
        from uvicorn import Config, Server  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = "--health-port needs uvicorn. Install it with: pip install 'raincheck[worker]'"
        raise ConfigurationError(msg) from error

    class Quiet(Server):
        """Leaves SIGTERM to the worker, which drains before it ends."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    listening = _listening(host, port)
    config = Config(
        application,
        lifespan="off",
        ws="none",
        access_log=False,
        log_config=None,
        log_level="warning",
        timeout_graceful_shutdown=_GRACE,
    )
    server = Quiet(config)
    serving = asyncio.create_task(server.serve([listening]), name="raincheck-worker-http")
    address, number = listening.getsockname()[:2]
    logger.info("probes and metrics on %s port %d", address, number, extra=told("listening", host=address, port=number))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket of our own: where the server cannot bind, it ends the process without a word of ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        msg = f"{host} port {port} cannot be listened on: {error}. Choose another --health-port or --health-host."
        raise ConfigurationError(msg) from error
