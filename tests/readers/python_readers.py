"""Readers from PyPI, each as its own documentation uses it. They return ``(id, type, data)`` up to ``done``."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from datetime import timedelta

import httpx
import httpx2
import httpx_sse
import requests_sse
import websockets
import websockets.sync.client
import wsproto
from wsproto.events import AcceptConnection, CloseConnection, Ping, Request, TextMessage

Sequence = list[tuple[str, str, str]]
_PAUSE = 0.05
SUBPROTOCOL = "raincheck.v1"


def read_httpx2(port: int, operation_id: str, name: str) -> Sequence:
    """Use ``httpx2.Client.sse`` again and again, from the last id."""
    found: Sequence = []
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False, verify=False) as client:
        while not _over(found):
            headers = {"Last-Event-ID": found[-1][0]} if found else {}
            try:
                with client.sse(_path(operation_id, name), headers=headers) as source:
                    for event in source:
                        found.append((event.id, event.event, event.data))
            except httpx2.TransportError:
                time.sleep(_PAUSE)
    return found


async def _read_httpx2_async(port: int, operation_id: str, name: str) -> Sequence:
    found: Sequence = []
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False, verify=False
    ) as client:
        while not _over(found):
            headers = {"Last-Event-ID": found[-1][0]} if found else {}
            try:
                async with client.sse(_path(operation_id, name), headers=headers) as source:
                    async for event in source:
                        found.append((event.id, event.event, event.data))
            except httpx2.TransportError:
                await asyncio.sleep(_PAUSE)
    return found


def read_httpx2_async(port: int, operation_id: str, name: str) -> Sequence:
    """Use ``httpx2.AsyncClient.sse``."""
    return asyncio.run(_read_httpx2_async(port, operation_id, name))


def read_httpx_sse(port: int, operation_id: str, name: str) -> Sequence:
    """Use ``httpx_sse.connect_sse``."""
    found: Sequence = []
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
        while not _over(found):
            headers = {"Last-Event-ID": found[-1][0]} if found else {}
            try:
                with httpx_sse.connect_sse(client, "GET", _path(operation_id, name), headers=headers) as source:
                    for event in source.iter_sse():
                        found.append((event.id, event.event, event.data))
            except httpx.TransportError:
                time.sleep(_PAUSE)
    return found


def read_requests_sse(port: int, operation_id: str, name: str) -> Sequence:
    """Use ``requests_sse.EventSource``, which reconnects by itself."""
    found: Sequence = []
    url = f"http://127.0.0.1:{port}{_path(operation_id, name)}"
    with requests_sse.EventSource(url, timeout=60, reconnection_time=timedelta(milliseconds=50)) as source:
        for event in source:
            found.append((event.last_event_id, event.type, event.data))
            if event.type == "done":
                break
    return found


def read_websockets(port: int, operation_id: str, name: str) -> Sequence:
    """Use ``websockets.sync.client.connect``."""
    found: Sequence = []
    url = f"ws://127.0.0.1:{port}/operations/ws?reader={name}"
    while not _over(found):
        try:
            with websockets.sync.client.connect(url, subprotocols=[SUBPROTOCOL], proxy=None) as connection:
                connection.send('{"type": "connection_init"}')
                connection.send(_subscribe(operation_id, found))
                for text in connection:
                    _note(found, text)
        except (OSError, websockets.ConnectionClosed, websockets.InvalidHandshake):
            time.sleep(_PAUSE)
    return found


def read_wsproto(port: int, operation_id: str, name: str) -> Sequence:
    """Use ``wsproto`` on a socket."""
    found: Sequence = []
    while not _over(found):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                _wsproto_connection(connection, operation_id, name, found)
        except OSError:
            time.sleep(_PAUSE)
    return found


def _wsproto_connection(connection: socket.socket, operation_id: str, name: str, found: Sequence) -> None:
    protocol = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    target = f"/operations/ws?reader={name}"
    connection.sendall(protocol.send(Request(host="127.0.0.1", target=target, subprotocols=[SUBPROTOCOL])))
    text = ""
    while data := connection.recv(1 << 16):
        protocol.receive_data(data)
        for event in protocol.events():
            match event:
                case AcceptConnection():
                    for message in ('{"type": "connection_init"}', _subscribe(operation_id, found)):
                        connection.sendall(protocol.send(TextMessage(message)))
                case TextMessage():
                    text += event.data
                    if event.message_finished:
                        _note(found, text)
                        text = ""
                case Ping():
                    connection.sendall(protocol.send(event.response()))
                case CloseConnection():
                    return


def _path(operation_id: str, name: str) -> str:
    return f"/operations/{operation_id}/events?after=0&reader={name}"


def _subscribe(operation_id: str, found: Sequence) -> str:
    after = int(found[-1][0]) if found else 0
    return json.dumps({"type": "subscribe", "id": "1", "operation": operation_id, "after": after})


def _note(found: Sequence, text: str) -> None:
    message = json.loads(text)
    if message["type"] == "event":
        assert message["operation"] == message["data"]["operation"]
        found.append((str(message["version"]), message["event"], json.dumps(message["data"])))
    else:
        assert message["type"] in {"connection_ack", "complete"}, message


def _over(found: Sequence) -> bool:
    return bool(found) and found[-1][1] == "done"


READERS = {
    "httpx2": read_httpx2,
    "httpx2-async": read_httpx2_async,
    "httpx-sse": read_httpx_sse,
    "requests-sse": read_requests_sse,
    "websockets": read_websockets,
    "wsproto": read_wsproto,
}
