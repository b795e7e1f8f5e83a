"""Both sides of the client behind one interface, so that a test says once what both do."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import Any

from anyio.from_thread import start_blocking_portal

from raincheck.client import AsyncClient, AsyncOperationHandle, Client


@contextmanager
def client_of(side: str, url: str, **options: Any):
    """Give a client of a server."""
    if side == "sync":
        with Client(url, **options) as client:
            yield client
        return
    with start_blocking_portal() as portal:
        client = AsyncClient(url, **options)
        try:
            yield Blocking(portal, client)
        finally:
            portal.call(client.aclose)


class Blocking:
    """An asynchronous object whose coroutines and generators are waited for."""

    def __init__(self, portal: Any, target: Any) -> None:
        self._portal = portal
        self._target = target

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not inspect.ismethod(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            arguments = tuple(map(_bare, arguments))
            return self._waited(found(*arguments, **options))

        return call

    def _waited(self, result: Any) -> Any:
        if inspect.isasyncgen(result):
            return self._each(result)
        if inspect.isawaitable(result):
            result = self._portal.call(_awaited, result)
        return Blocking(self._portal, result) if isinstance(result, AsyncOperationHandle) else result

    def _each(self, generator: Any) -> Any:
        try:
            while True:
                try:
                    yield self._portal.call(anext, generator)
                except StopAsyncIteration:
                    return
        finally:
            self._portal.call(generator.aclose)


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def _bare(value: Any) -> Any:
    if isinstance(value, Blocking):
        return value._target
    return [_bare(each) for each in value] if isinstance(value, list) else value
