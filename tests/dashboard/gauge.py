"""What a tab holds: memory after a garbage collection, listeners, nodes, and connections that are open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Held:
    """One look at a tab."""

    heap: int  # bytes
    listeners: int
    nodes: int
    requests: int  # asked and not answered to the end: streams

    def __str__(self) -> str:
        return (
            f"{self.heap / 2**20:.2f} MiB heap, {self.listeners} listeners, {self.nodes} nodes, "
            f"{self.requests} open requests"
        )


class Gauge:
    """Looks at a page through the DevTools protocol, so that what the page says of itself does not count."""

    def __init__(self, page: Any) -> None:
        self._session = page.context.new_cdp_session(page)
        self._open: set[str] = set()
        self._session.on("Network.requestWillBeSent", lambda event: self._open.add(event["requestId"]))
        for ending in ("loadingFinished", "loadingFailed"):
            self._session.on(f"Network.{ending}", lambda event: self._open.discard(event["requestId"]))
        self._session.send("Network.enable", {"maxTotalBufferSize": 0, "maxResourceBufferSize": 0})
        self._session.send("Performance.enable")

    @property
    def requests(self) -> int:
        """How many requests are open."""
        self._session.send("Performance.getMetrics")  # lets events of the protocol arrive
        return len(self._open)

    def look(self) -> Held:
        """Collect garbage, twice since finalisers leave some, and measure."""
        for _ in range(2):
            self._session.send("HeapProfiler.collectGarbage")
        found = {each["name"]: each["value"] for each in self._session.send("Performance.getMetrics")["metrics"]}
        return Held(
            heap=int(found["JSHeapUsedSize"]),
            listeners=int(found["JSEventListeners"]),
            nodes=int(found["Nodes"]),
            requests=len(self._open),
        )
