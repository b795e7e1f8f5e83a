"""What of a request is stored, so that a run can read it again exactly as the request gave it.

The stored text is a JSON object; keys that would be empty are left out:

``v``        version of this layout
``path``     values of the path parameters, converted as the route did
``query``    declared pairs in order
``headers``  declared pairs in order, lower case
``type``     content type of the body
``body``     its text; ``base64`` where it is no UTF-8; ``blob`` where it is large
``form``     fields in order, an upload as an object; ``form_blob`` where they are large
``others``   ``json`` or ``form`` where dependencies read parts of the body too (see ``replay.RouteForm``)
``depends``  JSON texts of the ``Depends`` values
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import partial
from json.encoder import encode_basestring_ascii as _escaped
from typing import TYPE_CHECKING, Any
from uuid import UUID

from raincheck.core.fingerprint import RequestContent
from raincheck.fastapi.declared_names import NEVER_STORED, Declared, declared_on
from raincheck.fastapi.replay import RouteForm
from raincheck.fastapi.signature import Plan, Role
from raincheck.fastapi.stored_form import capture_form
from raincheck.fastapi.taken_route import TakenRoute, state_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

    from starlette.requests import Request

    from raincheck.fastapi.replay import Replay
    from raincheck.ports import Blob

    PutBlob = Callable[[str, AsyncIterator[bytes]], Awaitable[Blob]]

VERSION = 1
LARGEST_INLINE = 256 * 1024
_JSON = "application/json"
_OPENING = f'{{"v":{VERSION}'


@dataclass(slots=True, kw_only=True)
class CapturedInput:
    """A request, ready to be stored.

    :param stored: ASCII JSON text for ``Operation.input``.
    :param files: names of the blobs that ``stored`` refers to.
    :param size: bytes of the body; of a form those of its values, where FastAPI did not count while reading.
    :param content: makes what ``core.fingerprint.fingerprint`` takes.
    :param values: the validated values, for a first run in this process; None where uploads end with the request.
    """

    stored: str
    files: tuple[str, ...]
    size: int
    content: Callable[[], RequestContent]
    values: dict[str, Any] | None


class InputCapture:
    """Captures the requests of one operation function."""

    def __init__(self, plan: Plan, replay: Replay) -> None:
        self._replay = replay
        self._depends = [(p.name, p.stored) for p in plan.of(Role.DEPENDS) if p.stored is not None]
        self._own = tuple(p.name for p in plan.of(Role.FIELD, Role.DEPENDS))
        self._declared: dict[tuple[str, ...], Declared] = {}
        self._latest: TakenRoute | None = None

    async def capture(
        self, request: Request, values: Mapping[str, Any], put_blob: PutBlob, *, content_type: str | None
    ) -> CapturedInput:
        """Return what to store of an accepted request.

        :param values: what FastAPI gave the endpoint; other keys than the function's are ignored.
        :param put_blob: stores a file under a name that is unique within the operation.
        :param content_type: the request's own.
        :raises DefinitionError: a ``Depends`` value that would not come back as it is.
        """
        path = request.path_params
        names = tuple(path)
        declared = self._declared.get(names) or self._declare(names)
        route = self._latest  # a function has one route nearly always
        state = state_of(request.scope["route"], request.scope)
        if route is None or route.state is not state:
            route = self._latest = TakenRoute(state)
        record: dict[str, Any] = {}
        if declared.path:
            record["path"] = {name: _plain(value) for name, value in path.items() if name in declared.path}
        if declared.reads_query or declared.reads_headers:
            _record_pairs(record, request, declared, route)
        if self._depends:
            record["depends"] = {name: stored.dump(values[name]) for name, stored in self._depends}
        own = {name: values[name] for name in self._own}
        if route.reads_form:
            return await _with_form(record, request, own, declared, put_blob)
        return await _with_body(record, request, own, declared, route, put_blob, content_type)

    def _declare(self, names: tuple[str, ...]) -> Declared:
        declared = declared_on(self._replay.route(RouteForm(path=names)))
        self._declared[names] = declared
        return declared


async def _with_body(
    record: dict[str, Any],
    request: Request,
    own: dict[str, Any],
    declared: Declared,
    route: TakenRoute,
    put_blob: PutBlob,
    content_type: str | None,
) -> CapturedInput:
    body = await request.body() if route.reads_body else b""
    if not body:
        content_type = None
    elif content_type is None and route.guesses_json:
        content_type = _JSON
    json_body = content_type == _JSON or (content_type is not None and _is_json(content_type))
    files: tuple[str, ...] = ()
    if declared.reads_body and body:
        kept = body
        if route.embeds:
            if not declared.embeds:
                record["others"] = "json"
            if json_body:
                kept = _own_part(body, await request.json(), declared.body)
        if content_type is not None:
            record["type"] = content_type
        if len(kept) > LARGEST_INLINE:
            blob = await put_blob("body", _once(kept))
            record["blob"] = blob.name
            files = (blob.name,)
        else:
            _record_text(record, kept)
    elif declared.reads_body and route.embeds and not declared.embeds:
        record["others"] = "json"
    scope = request.scope
    content = partial(RequestContent, path=scope["path"], query=scope["query_string"], body=body, json_body=json_body)
    return CapturedInput(stored=_text(record, files), files=files, size=len(body), content=content, values=own)


async def _with_form(
    record: dict[str, Any], request: Request, own: dict[str, Any], declared: Declared, put_blob: PutBlob
) -> CapturedInput:
    form = await request.form()
    size = sum(len(value) if isinstance(value, str) else value.size or 0 for _, value in form.multi_items())
    captured = await capture_form(form, declared.body, put_blob)
    files = tuple(captured.files)
    if declared.reads_body:
        if not declared.reads_form:
            record["others"] = "form"
        text = json.dumps(captured.items)
        if len(text) > LARGEST_INLINE:
            blob = await put_blob("form", _once(text.encode()))
            record["form_blob"] = blob.name
            files = (*files, blob.name)
        else:
            record["form"] = captured.items
    scope = request.scope
    content = partial(RequestContent, path=scope["path"], query=scope["query_string"], form=tuple(captured.entries))
    values = None if captured.uploads else own
    return CapturedInput(stored=_text(record, files), files=files, size=size, content=content, values=values)


def _text(record: dict[str, Any], files: tuple[str, ...]) -> str:
    """Return the record as JSON; a quarter of the time of ``json.dumps`` where all is text, as the usual body is."""
    if files:
        record["files"] = files
    text = _OPENING
    for key, value in record.items():
        text = f'{text},"{key}":{_json(value)}'
    return text + "}"


def _json(value: Any) -> str:
    if type(value) is str:
        return _escaped(value)
    if type(value) is dict and all(type(each) is str for each in value.values()):
        return "{" + ",".join([f"{_escaped(name)}:{_escaped(each)}" for name, each in value.items()]) + "}"
    return json.dumps(value)


def _record_pairs(record: dict[str, Any], request: Request, declared: Declared, route: TakenRoute) -> None:
    if declared.reads_query and request.scope["query_string"]:
        query = _kept(request.query_params.multi_items(), declared.query, route)
        if query:
            record["query"] = query
    if declared.reads_headers:
        headers = _kept(request.headers.items(), declared.headers, route)
        if headers:
            record["headers"] = headers


def _kept(pairs: Iterable[tuple[str, str]], keys: frozenset[str] | None, route: TakenRoute) -> list[tuple[str, str]]:
    if keys is not None:
        return [pair for pair in pairs if pair[0] in keys]
    secret = NEVER_STORED | route.credential_keys()
    return [pair for pair in pairs if pair[0].lower() not in secret]


def _record_text(record: dict[str, Any], body: bytes) -> None:
    try:
        record["body"] = body.decode()
    except UnicodeDecodeError:
        record["base64"] = base64.b64encode(body).decode()


def _own_part(body: bytes, document: Any, keys: frozenset[str] | None) -> bytes:
    """Return the body without the keys that only dependencies read, such as a password."""
    if keys is None or not isinstance(document, dict) or document.keys() <= keys:
        return body
    return json.dumps({key: value for key, value in document.items() if key in keys}).encode()


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == _JSON or (kind.startswith("application/") and kind.endswith("+json"))


def _plain(value: Any) -> Any:
    """Return a path value as JSON; routes convert to int, float, UUID, or by converters of the user's own."""
    if isinstance(value, UUID):
        return {"uuid": str(value)}
    return value if isinstance(value, str | int | float) else str(value)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
