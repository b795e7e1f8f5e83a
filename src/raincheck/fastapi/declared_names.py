"""Which keys of a request the parameters of a function may read: by name, by alias, by the fields of a model."""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from pydantic import AliasChoices, AliasPath, BaseModel

from raincheck.fastapi.annotations import split
from raincheck.fastapi.taken_route import embeds, reads_form

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastapi.routing import APIRoute
    from pydantic.fields import FieldInfo

NEVER_STORED = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a function reads on a route; a set of keys is None where it may read any key."""

    path: frozenset[str]
    query: frozenset[str] | None
    headers: frozenset[str] | None
    body: frozenset[str] | None
    reads_query: bool
    reads_headers: bool
    reads_body: bool
    reads_form: bool
    embeds: bool


def declared_on(route: APIRoute) -> Declared:
    """Return what the parameters of a route read, as FastAPI classified them."""
    dependant = route.dependant
    headers = _keys_of_all(dependant.header_params)
    return Declared(
        path=_keys_of_all(dependant.path_params) or frozenset(),
        query=_keys_of_all(dependant.query_params),
        headers=None if headers is None else header_names(headers),
        body=_keys_of_all(dependant.body_params),
        reads_query=bool(dependant.query_params),
        reads_headers=bool(dependant.header_params),
        reads_body=bool(dependant.body_params),
        reads_form=reads_form(route),
        embeds=embeds(route),
    )


def keys_of(name: str, field: FieldInfo | None, kind: Any) -> frozenset[str]:
    """Return every key that could give a parameter its value."""
    found = set(_aliases(name, field))
    for model in _models_of(kind):
        for field_name, info in model.model_fields.items():
            found.update(_aliases(field_name, info))
    return frozenset(found)


def header_names(keys: frozenset[str]) -> frozenset[str]:
    """Return keys as header names: lower case, with underscores and with hyphens."""
    lowered = {key.lower() for key in keys}
    return frozenset(lowered | {key.replace("_", "-") for key in lowered})


def _keys_of_all(fields: Sequence[Any]) -> frozenset[str] | None:
    found: set[str] = set()
    for field in fields:
        kind = field.field_info.annotation
        if any(_reads_any_key(model) for model in _models_of(kind)):
            return None
        found.update(keys_of(field.name, field.field_info, kind))
    return frozenset(found)


def _models_of(kind: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a parameter of this type may be read into, field by field."""
    kind, _ = split(kind)
    if get_origin(kind) in (Union, UnionType):
        for member in get_args(kind):
            if member is not NoneType:
                yield from _models_of(member)
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind


def _aliases(name: str, field: FieldInfo | None) -> Iterator[str]:
    yield name
    if field is None:
        return
    if field.alias:
        yield field.alias
    match field.validation_alias:
        case str(alias):
            yield alias
        case AliasPath() as path:
            yield str(path.path[0])
        case AliasChoices(choices=choices):
            for choice in choices:
                yield str(choice.path[0]) if isinstance(choice, AliasPath) else choice


def _reads_any_key(model: type[BaseModel]) -> bool:
    """Whether a model may look at keys that it does not declare."""
    if model.model_config.get("extra") == "allow":
        return True
    # Where Pydantic tells no longer, a model is taken as one that looks, so that no input is lost.
    decorators = getattr(model, "__pydantic_decorators__", None)
    if decorators is None:
        return True
    return any(validator.info.mode in ("before", "wrap") for validator in decorators.model_validators.values())
