"""Where the operations of a server are, and which addresses the client may follow."""

from __future__ import annotations

import re

import httpx2

from raincheck.client.errors import ForeignLink

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class Addresses:
    """The URLs of one server.

    :param base: URL of the application with whatever prefix a proxy adds.
    :param operations: path of the operations below it; ``/api/operations`` for ``Raincheck(prefix="/api")``.
    """

    def __init__(self, base: httpx2.URL | str, operations: str = "/operations") -> None:
        self._base = httpx2.URL(str(base).rstrip("/") + "/")
        if self._base.scheme not in {"http", "https"} or not self._base.host:
            msg = (
                f"base_url {str(base)!r} is no address of a server; write it with scheme and host: https://example.com"
            )
            raise ValueError(msg)
        self.operations = self.of_route(operations)

    def of_route(self, path: str) -> httpx2.URL:
        """Return the URL of one of the application's own routes, below the base."""
        if _ABSOLUTE.match(path):
            return self.of_link(path)
        # The dot keeps a colon in the first part, as in `/reports:generate`, from being read as the end of a scheme.
        return self._base.join(f"./{path.lstrip('/')}")

    def of_link(self, link: str) -> httpx2.URL:
        """Return the URL of a link that the server gave; links are absolute paths.

        :raises ForeignLink: it leads to another origin.
        """
        url = self._base.join(link)
        if url.origin != self._base.origin:
            msg = f"The server named {shown(url)}, and this client speaks to {shown(self._base)} only."
            raise ForeignLink(msg)
        return url

    def of_operation(self, operation_id: str) -> httpx2.URL:
        """Return the URL of an operation."""
        return self._below(self.operations, operation_id)

    def of_many(self, operation_ids: list[str]) -> httpx2.URL:
        """Return the URL of the stream of many operations."""
        return self._below(self.operations, "events").copy_merge_params({"ids": ",".join(operation_ids)})

    @staticmethod
    def part(operation: httpx2.URL, name: str) -> httpx2.URL:
        """Return the URL of a part of an operation: its result, its events, what cancels it."""
        return Addresses._below(operation, name)

    @staticmethod
    def _below(url: httpx2.URL, name: str) -> httpx2.URL:
        return url.copy_with(path=f"{url.path.rstrip('/')}/{name}", query=None)


def shown(url: httpx2.URL) -> str:
    """Return an origin as people write it."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}"
