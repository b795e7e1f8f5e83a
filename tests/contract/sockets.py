"""A WebSocket client of the contract tests."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.contract.serving import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.sync.client import ClientConnection

    from tests.contract.serving import Server

SUBPROTOCOL = "raincheck.v1"


class Socket:
    """An open connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def send(self, **message: Any) -> None:
        """Send a message."""
        self.connection.send(json.dumps(message))

    def next(self) -> dict[str, Any]:
        """Wait for the next message."""
        text = self.connection.recv(timeout=PATIENCE)
        assert isinstance(text, str)
        assert text.isascii()
        found = json.loads(text)
        assert isinstance(found, dict)
        return found

    def introduce(self, authorization: str | None = None) -> None:
        """Send the first message and wait until it is acknowledged."""
        more = {} if authorization is None else {"authorization": authorization}
        self.send(type="connection_init", **more)
        assert self.next() == {"type": "connection_ack"}

    def subscribe(self, identity: str, operation: str, **more: Any) -> None:
        """Follow an operation."""
        self.send(type="subscribe", id=identity, operation=operation, **more)

    def until_complete(self, identity: str) -> list[dict[str, Any]]:
        """Return the events of a subscription up to its end; others may come between."""
        found = []
        while (message := self.next()) != {"type": "complete", "id": identity}:
            assert message["type"] in {"event", "complete"}, message
            if message["id"] == identity:
                found.append(message)
        return found

    def closed(self) -> None:
        """Read until the server closes the connection."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                self.connection.recv(timeout=PATIENCE)

    @property
    def code(self) -> int | None:
        """Why the connection was closed."""
        return self.connection.close_code


@contextlib.contextmanager
def connected(
    server: Server,
    *,
    caller: str | None = None,
    path: str = "/operations/ws",
    introduced: bool = True,
    headers: dict[str, str] | None = None,
    **options: Any,
) -> Iterator[Socket]:
    """Connect, and introduce oneself."""
    options = {"subprotocols": [SUBPROTOCOL], "proxy": None, "compression": None, **options}
    own = {} if caller is None else {"X-Caller": caller}
    with connect(
        f"ws://127.0.0.1:{server.port}{path}",
        additional_headers={**own, **(headers or {})},
        open_timeout=PATIENCE,
        close_timeout=1,
        max_size=None,
        **options,
    ) as connection:
        found = Socket(connection)
        if introduced:
            found.introduce()
        yield found
