"""What a user writes, as type checkers see it; never run. Each ``type: ignore`` is a mistake that must be found."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any, assert_type

import httpx2
from pydantic import BaseModel

from raincheck.client import (
    AsyncClient,
    AsyncOperationHandle,
    Client,
    Event,
    OperationHandle,
    OperationState,
    WebhookEvent,
    verify_webhook,
)


class Report(BaseModel):
    """What the function returns."""

    pages: int


def synchronous(client: Client) -> None:
    """Results are of the type that was asked for; without one they are anything."""
    assert_type(client.run("/reports", Report, json={"pages": 3}), Report)
    assert_type(client.run("/reports"), Any)
    handle = client.submit("/reports", metadata={"customer": "42"}, timeout="5m")
    assert_type(handle, OperationHandle)
    assert_type(handle.result(Report, timeout=60), Report)
    assert_type(handle.result(bytes), bytes)
    assert_type(handle.response(), httpx2.Response)
    assert_type(handle.wait(), OperationState)
    assert_type(handle.events(after=0), Generator[Event])
    assert_type(handle.updates(), Generator[OperationState])
    assert_type(handle.status, str | None)
    assert_type(handle.save("report.pdf"), int)
    assert_type(handle.retry(), OperationHandle)
    for state in client.watch([handle, "op_1"], progress=True):
        assert_type(state, OperationState)
    for state in client.list(status=["failed"], tags={"customer": "42"}):
        assert_type(state.done, bool)


async def asynchronous(client: AsyncClient) -> None:
    """The same with ``await`` and ``async for``."""
    assert_type(await client.run("/reports", Report), Report)
    handle = await client.submit("/reports")
    assert_type(handle, AsyncOperationHandle)
    assert_type(await handle.result(list[int]), list[int])
    assert_type(await handle.response(timeout=5), httpx2.Response)
    assert_type(handle.events(), AsyncGenerator[Event])
    async for state in handle.updates():
        assert_type(state, OperationState)


def receiving(body: bytes, headers: dict[str, str]) -> None:
    """A webhook is verified before it is an event."""
    assert_type(verify_webhook(body, headers, secrets="whsec_1"), WebhookEvent)


def mistakes(client: Client) -> None:
    """What no checker may let pass."""
    client.submit(3)  # type: ignore[arg-type]
    client.submit("/reports", metdata={"customer": "42"})  # type: ignore[call-arg]
    client.submit("/reports", metadata={"customer": 42})  # type: ignore[dict-item]
    _ = client.submit("/reports").result(Report).title  # type: ignore[attr-defined]
    client.run("/reports", on_update=lambda state: state.fraction)  # type: ignore[attr-defined]
    client.submit("/reports").events("1")  # type: ignore[arg-type]
    verify_webhook({}, {}, secrets="whsec_1")  # type: ignore[arg-type]
