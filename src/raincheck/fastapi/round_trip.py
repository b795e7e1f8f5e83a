"""Values of ``Depends(...)`` as JSON: what can be stored and comes back as it was."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from fastapi.security import HTTPAuthorizationCredentials, HTTPBasicCredentials
from pydantic import BaseModel, ConfigDict, Secret, SecretBytes, SecretStr, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError
from starlette.datastructures import UploadFile

from raincheck.core.errors import DefinitionError, InputMismatch
from raincheck.fastapi.annotations import EMPTY, split
from raincheck.fastapi.mismatch import safe_text

T = TypeVar("T")

_SECRETS = (SecretStr, SecretBytes, Secret, HTTPBasicCredentials, HTTPAuthorizationCredentials)
_JSON = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredValue(Generic[T]):
    """One parameter whose value is stored as JSON text. Build it with ``stored_value``.

    Dumped by field name and loaded by field name, because a model's two aliases may differ.

    :param text: whether the type is plain ``str``, of which nearly every value comes back without a trial.
    """

    name: str
    owner: str
    adapter: TypeAdapter[T]
    text: bool = False

    def dump(self, value: T) -> str:
        """Return the value as JSON text.

        :raises DefinitionError: the value would come back as another one.
        """
        given: object = value
        if self.text and type(given) is str and given.isascii():
            return encode_basestring_ascii(given)
        try:
            text = self.adapter.dump_json(value, by_alias=False, round_trip=True, warnings="error").decode()
            loaded = self._loaded(text)
        except (PydanticSerializationError, ValidationError, ValueError, TypeError) as error:
            raise self._refusal(value) from error
        if not self._same(value, loaded, text):
            raise self._refusal(value)
        return text

    def load(self, text: str) -> T:
        """Return the value again.

        :raises InputMismatch: today's type does not take it.
        """
        try:
            return self._loaded(text)
        except ValidationError as error:
            raise InputMismatch(safe_text(error.errors(include_url=False), at=("depends", self.name))) from error

    def _loaded(self, text: str) -> T:
        return self.adapter.validate_json(text, by_alias=False, by_name=True)

    def _same(self, value: T, loaded: T, text: str) -> bool:
        if type(loaded) is not type(value):
            return False
        if type(value).__eq__ is object.__eq__:
            return self.adapter.dump_json(loaded, by_alias=False, round_trip=True).decode() == text
        return bool(loaded == value)

    def _refusal(self, value: T) -> DefinitionError:
        msg = (
            f"{self.owner}: the Depends(...) value of parameter {self.name!r}, a {type(value).__qualname__}, does not"
            " come back from JSON as it was. Annotate the parameter with the type that the dependency returns, or use"
            " WorkerDepends(...) to make the value where the function runs."
        )
        return DefinitionError(msg)


def stored_value(name: str, kind: Any, *, owner: str) -> StoredValue[Any] | str:
    """Return how to store values of a type, or why that is not possible."""
    if kind in (Any, object, EMPTY):
        return "has no type to store its value by"
    objection = _objection(kind, set())
    if objection:
        return objection
    try:
        adapter = _adapter(kind)
        adapter.json_schema(mode="serialization")
    except (PydanticUserError, NameError, TypeError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        return f"has a type that cannot be stored as JSON ({reason})"
    return StoredValue(name=name, owner=owner, adapter=adapter, text=kind is str)


def _adapter(kind: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(kind, config=_JSON)
    except PydanticUserError:  # models bring their own configuration
        return TypeAdapter(kind)


def _objection(kind: Any, seen: set[Any]) -> str | None:
    """Return why a type must not be stored: secrets, uploads and what dumps leave out, however deep."""
    kind, _ = split(kind)
    parts = get_args(kind)
    origin = get_origin(kind) or kind
    if isinstance(origin, type):
        if origin in seen:
            return None
        if issubclass(origin, _SECRETS):
            return f"holds a secret ({origin.__name__}), and credentials are never stored"
        if issubclass(origin, UploadFile):
            return "holds an uploaded file; take it as a parameter of the function instead"
        if not parts:
            seen.add(origin)
        if excluded := _excluded_field(origin):
            return f"has a field {excluded!r} that dumps leave out, so the value would lose it"
        parts = (*parts, *_field_types(origin))
    return next((found for part in parts if (found := _objection(part, seen))), None)


def _excluded_field(kind: type) -> str | None:
    fields = kind.model_fields if issubclass(kind, BaseModel) else getattr(kind, "__pydantic_fields__", {})
    return next(
        (name for name, info in fields.items() if info.exclude or getattr(info, "exclude_if", None)),
        None,
    )


def _field_types(kind: type) -> tuple[Any, ...]:
    if issubclass(kind, BaseModel):
        return tuple(info.annotation for info in kind.model_fields.values())
    if not dataclasses.is_dataclass(kind) and not hasattr(kind, "__total__") and not hasattr(kind, "_fields"):
        return ()
    try:
        return tuple(get_type_hints(kind, include_extras=True).values())
    except (NameError, TypeError):
        return ()  # building the adapter reports it
