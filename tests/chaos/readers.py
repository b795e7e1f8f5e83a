"""Readers of event streams, as a client is one: they note what they saw until the connection broke."""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.chaos.driver import Server

_OVERWRITTEN = frozenset({"progress"})  # the one kind of event that a newer one replaces


@dataclass(frozen=True, slots=True)
class Frame:
    """One event as it came: version, name, and its data without the links, which name the port of the server."""

    version: int
    name: str
    data: str


@dataclass(eq=False)
class Reader:
    """One connection that follows an operation from its first event on."""

    server: Server
    operation_id: str
    seen: list[Frame] = field(default_factory=list)
    complete: bool = False

    def follow(self) -> threading.Thread:
        """Read in the background until the stream ends or breaks."""
        thread = threading.Thread(target=self.read, daemon=True)
        thread.start()
        return thread

    def read(self) -> None:
        """Read until the stream ends or breaks."""
        base = str(self.server.client.base_url)
        with (
            contextlib.suppress(httpx2.HTTPError),
            httpx2.Client(base_url=base, timeout=30, trust_env=False, verify=False) as client,
            client.stream("GET", f"/operations/{self.operation_id}/events", params={"after": "0"}) as answer,
        ):
            assert answer.status_code in {200, 410}, answer.status_code  # 410: deleted before it was looked at
            fields: dict[str, str] = {}
            for line in answer.iter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                    continue
                if "data" in fields and "id" in fields:
                    self.seen.append(Frame(int(fields["id"]), fields["event"], comparable(fields["data"])))
                    self.complete = fields["event"] == "done"
                fields = {}


def comparable(data: str) -> str:
    """Return the data without what depends on the server that sent it."""

    def stripped(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: stripped(each) for name, each in value.items() if name not in {"links", "url"}}
        return value

    return json.dumps(stripped(json.loads(data)), sort_keys=True)


def judge_replay(before: list[Reader], server: Server) -> int:
    """Check that what was seen before a crash is what a replay shows afterwards; return how many events that were."""
    replays: dict[str, list[Frame]] = {}
    compared = 0
    for reader in before:
        if reader.operation_id not in replays:
            replay = Reader(server, reader.operation_id)
            replay.read()
            assert replay.complete, f"the replay of {reader.operation_id} has no end"
            replays[reader.operation_id] = replay.seen
        lasting = [frame for frame in reader.seen if frame.name not in _OVERWRITTEN]
        last = max((frame.version for frame in reader.seen), default=0)
        replayed = [f for f in replays[reader.operation_id] if f.name not in _OVERWRITTEN and f.version <= last]
        assert lasting == replayed, f"{reader.operation_id}: seen {lasting}, replayed {replayed}"
        compared += len(lasting)
    return compared
