"""From a returned value to the bytes that FastAPI would have sent."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from fastapi.encoders import jsonable_encoder
from fastapi.utils import is_body_allowed_for_status_code
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from raincheck.core.errors import DefinitionError
from raincheck.core.outcome import Returned
from raincheck.core.wire import is_json
from raincheck.fastapi.annotations import AT_THE_TOP, EMPTY, UnknownAnnotation, evaluated, is_a, signature_of, split
from raincheck.fastapi.kept_headers import kept_headers
from raincheck.fastapi.mismatch import safe_text
from raincheck.invocation import ResultMismatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi.types import IncEx

    from raincheck.fastapi.signature import Plan

T = TypeVar("T")
FROM_ANNOTATION: Any = object()
_RESULT_FILE = "result"
_JSON = "application/json"
_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultOptions:
    """FastAPI's own keywords about the answer; they describe the result.

    :param response_model: a type, None for no check, or ``FROM_ANNOTATION``.
    :param response_class: None for FastAPI's default.
    """

    response_model: Any = FROM_ANNOTATION
    response_class: type[Response] | None = None
    status_code: int | None = None
    include: IncEx | None = None
    exclude: IncEx | None = None
    by_alias: bool = True
    exclude_unset: bool = False
    exclude_defaults: bool = False
    exclude_none: bool = False


@dataclass(frozen=True, kw_only=True)
class ResultRendering:
    """Renders the results of one function. ``model`` is what values are checked against, None for no check."""

    model: Any
    options: ResultOptions

    @classmethod
    def of(cls, plan: Plan, options: ResultOptions) -> ResultRendering:
        """Return the rendering of a function's results.

        :raises DefinitionError: the type of the result cannot be rendered.
        """
        model = _model(plan, options)
        if is_a(options.response_class, StreamingResponse):
            msg = f"{plan.name}: response_class streams, and an operation stores one result. {_STREAMS}"
            raise DefinitionError(msg)
        if model is not None:
            _check(model, plan, options)
        return cls(model=model, options=options)

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.model)

    def copies_file(self, value: object) -> bool:
        """Whether rendering the value copies a file."""
        if isinstance(value, Response):
            return hasattr(value, "path")
        return is_a(self.options.response_class, FileResponse)

    def render(self, value: object, fresh: Response | None, *, staging: Callable[[], Path]) -> Returned:
        """Return the answer that FastAPI would give for the value.

        :param fresh: what the function got for its ``Response`` parameter; its status and headers count.
        :param staging: names the folder for a returned file.
        :raises ResultMismatch: the value does not match, or is an answer that cannot be kept.
        """
        if isinstance(value, Response):
            response = value
        elif fresh is None and self.options.response_class is None:
            return self._plain(value)
        else:
            response = self._response(value, fresh)
        if response.background is not None:
            msg = "the returned response carries a background task; do that work in the function"
            raise ResultMismatch(msg)
        if isinstance(response, FileResponse):
            return _staged(response, staging())
        body = getattr(response, "body", None)
        if isinstance(response, StreamingResponse) or body is None:
            msg = f"a {type(response).__name__} cannot be stored; {_STREAMS}"
            raise ResultMismatch(msg)
        if response is value and not _is_what_it_says(response):
            return _kept_apart(response, staging())
        return _returned(response, body=bytes(body))

    def _plain(self, value: object) -> Returned:
        """Return FastAPI's default answer, which has no headers but those of its content."""
        body = _rendering(self._json, value)
        status = self.options.status_code or _OK
        if not is_body_allowed_for_status_code(status):
            body = b""
        return Returned(status_code=status, media_type=_JSON, body=body)

    def _response(self, value: object, fresh: Response | None) -> Response:
        arguments: dict[str, Any] = {}
        status = (fresh.status_code if fresh is not None else None) or self.options.status_code
        if status:
            arguments["status_code"] = status
        response: Response = _rendering(self._rendered, value, arguments)
        if not is_body_allowed_for_status_code(response.status_code):
            response.body = b""
        if fresh is not None:
            response.headers.raw.extend(fresh.headers.raw)
        return response

    def _rendered(self, value: object, arguments: dict[str, Any]) -> Response:
        make = self.options.response_class
        if make is None:
            return Response(self._json(value), media_type=_JSON, **arguments)
        if self.model is None:
            return make(jsonable_encoder(value), **arguments)
        valid = self._adapter.validate_python(value, from_attributes=True)
        return make(self._adapter.dump_python(valid, mode="json", **self._dump), **arguments)

    def _json(self, value: object) -> bytes:
        if self.model is None:
            return b"null" if value is None else bytes(JSONResponse(jsonable_encoder(value)).body)
        valid = self._adapter.validate_python(value, from_attributes=True)
        return self._adapter.dump_json(valid, **self._dump)

    @cached_property
    def _dump(self) -> dict[str, Any]:
        options = self.options
        return {
            "include": options.include,
            "exclude": options.exclude,
            "by_alias": options.by_alias,
            "exclude_unset": options.exclude_unset,
            "exclude_defaults": options.exclude_defaults,
            "exclude_none": options.exclude_none,
        }


def _rendering(make: Callable[..., T], value: object, *rest: Any) -> T:
    """Make something of a returned value.

    :raises ResultMismatch: the value does not match, or has no such form.
    """
    try:
        return make(value, *rest)
    except ValidationError as error:
        raise ResultMismatch(safe_text(error.errors(include_url=False), at=("response",))) from error
    except (PydanticSerializationError, ValueError, TypeError, AttributeError, RecursionError) as error:
        msg = f"the returned value, a {type(value).__qualname__}, cannot be rendered ({type(error).__name__})"
        raise ResultMismatch(msg) from error


_STREAMS = "return bytes or a FileResponse, or stream partial results with op.emit(chunk)."


def _model(plan: Plan, options: ResultOptions) -> Any:
    if options.response_model is not FROM_ANNOTATION:
        return options.response_model
    try:
        returns = evaluated(signature_of(plan.function).return_annotation, plan.function)
    except UnknownAnnotation as error:
        msg = f"{plan.name}: return type: {error}. {AT_THE_TOP}, or pass response_model=..."
        raise DefinitionError(msg) from error
    kind, _ = split(returns)
    if kind in (EMPTY, None, type(None)) or (isinstance(kind, type) and is_a(kind, Response)):
        return None
    return returns


def _check(model: Any, plan: Plan, options: ResultOptions) -> None:
    if options.status_code is not None and not is_body_allowed_for_status_code(options.status_code):
        msg = f"{plan.name}: status {options.status_code} has no body. Return None, or use another status_code."
        raise DefinitionError(msg)
    try:
        TypeAdapter(model).json_schema(mode="serialization")
    except (PydanticUserError, NameError, TypeError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        msg = (
            f"{plan.name}: results of the type {model!r} cannot be rendered as JSON ({reason})."
            " Return a Pydantic model or JSON types, pass response_model=..., or return a Response with"
            " response_model=None."
        )
        raise DefinitionError(msg) from error


def _is_what_it_says(response: Response) -> bool:
    """Tell whether what calls itself JSON can be read as JSON; other media types are not looked into."""
    body = bytes(response.body)
    if not body or not is_json(response.headers.get("content-type")):
        return True
    try:
        json.loads(body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):  # what nests too deeply cannot be read either
        return False
    return True


def _refuse_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity, which JSON has none of


def _kept_apart(response: Response, staging: Path) -> Returned:
    """Return an answer that goes out as it is, but must not be written into the operation's own JSON."""
    staging.mkdir(parents=True, exist_ok=True)
    file = staging / _RESULT_FILE
    file.write_bytes(bytes(response.body))
    return _returned(response, file=file)


def _staged(response: FileResponse, staging: Path) -> Returned:
    """Copy the file, because the function may write to the same path in its next run."""
    source = Path(cast("str", response.path))
    staging.mkdir(parents=True, exist_ok=True)
    try:
        copy = Path(shutil.copyfile(source, staging / _RESULT_FILE))
    except (FileNotFoundError, IsADirectoryError, shutil.SpecialFileError) as error:
        msg = "the FileResponse names something that is not a readable file"
        raise ResultMismatch(msg) from error
    # Starlette's own ETag and Last-Modified speak of the path, which the stored result no longer has.
    return _returned(response, file=copy, but=("etag", "last-modified", "accept-ranges"))


def _returned(
    response: Response, *, body: bytes | None = None, file: Path | None = None, but: tuple[str, ...] = ()
) -> Returned:
    return Returned(
        status_code=response.status_code,
        media_type=response.headers.get("content-type"),
        headers=kept_headers(response.headers.items(), but=but),
        body=body,
        file=file,
    )
