"""Functions with every kind of parameter; each notes what it was given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Union
from uuid import UUID

import fastapi
import pydantic
import pytest
from fastapi import Body, File, Form, Header, Path, Query, Response, UploadFile
from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Json,
    SecretStr,
    field_validator,
    model_validator,
)

from raincheck.fastapi.stored_form import close_files
from tests.fastapi.binding.harness import Operation, Routes, noted

SEEN: list[Any] = []
ITEM = {"name": "Größe \u2028", "price": 2, "when": "2026-01-02T03:04:05Z", "ignored": 1}
UID = "12345678-1234-5678-1234-567812345678"
JSON = {"content-type": "application/json"}
FILE = ("a b.txt", b"\x00\xffdata" * 1000, "text/x-special; charset=latin-1")
OLDER = tuple(int(part) for part in fastapi.__version__.split(".")[:2]) < (0, 165)


def note(**values: Any) -> Response:
    SEEN.append(noted(values))
    return Response()


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Item(BaseModel):
    name: str
    price: float = 1.5
    when: datetime | None = None


class Doubling(BaseModel):
    """Not idempotent: validating a dump again would double once more."""

    amount: int

    @field_validator("amount")
    @classmethod
    def _double(cls, value: int) -> int:
        return value * 2


class Account(BaseModel):
    login: str
    password: SecretStr
    note: str = Field("none", exclude=True)


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    good: bool


class Filters(BaseModel):
    tags: list[str] = []
    limit: int = Field(10, alias="max-items")


class OpenFilters(BaseModel):
    model_config = ConfigDict(extra="allow")
    limit: int = 10


class Curious(BaseModel):
    """Reads a key that it does not declare."""

    total: int = 0

    @model_validator(mode="before")
    @classmethod
    def _take(cls, data: Any) -> Any:
        return {"total": data.get("secret_total", 0)}


class Traces(BaseModel):
    x_trace: str
    x_tags: list[str] = []


class Upload(BaseModel):
    title: str
    copies: int = 1
    file: UploadFile


class Plain(BaseModel):
    title: str
    tags: list[str] = []


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int


@dataclass
class Point:
    x: int
    y: int = 0


class User(BaseModel):
    id: int
    born: date | None = None
    handle: str = Field("h", validation_alias="in", serialization_alias="out")


def simple_query(q: str, limit: int = 10, flag: bool = False):
    return note(**locals())


def list_query(tag: Annotated[list[str], Query()], n: Annotated[list[int] | None, Query()] = None):
    return note(**locals())


def alias_query(q: Annotated[str, Query(alias="item-query")], z: Annotated[int, Query(validation_alias="zed")] = 0):
    return note(**locals())


def choice_query(q: Annotated[str, Query(validation_alias=AliasChoices("first", "second"))]):
    return note(**locals())


def typed_query(day: date, color: Color, amount: Decimal, key: UUID, kind: Literal["a", "b"] = "a"):
    return note(**locals())


def factory_query(q: Annotated[list[int], Query(default_factory=lambda: [1, 2])], p: str = Query("x")):
    return note(**locals())


def model_query(filters: Annotated[Filters, Query()]):
    return note(**locals())


def open_model_query(filters: Annotated[OpenFilters, Query()]):
    return note(**locals())


def curious_query(filters: Annotated[Curious, Query()]):
    return note(**locals())


def before_query(q: Annotated[int, BeforeValidator(lambda text: int(text) + 1)]):
    return note(**locals())


def path_values(name: str, number: int, key: UUID):
    return note(**locals())


def strict_path(key: Annotated[UUID, pydantic.Strict()], number: Annotated[float, pydantic.Strict()]):
    return note(**locals())


def path_alias(n: Annotated[int, Path(alias="number", gt=0)]):
    return note(**locals())


def prefix_path(tenant: str, item: Item):
    return note(**locals())


def either_way(item_id: int = 5):
    return note(**locals())


def headers(
    x_token: Annotated[str, Header()],
    accept: Annotated[str | None, Header()] = None,
    x_many: Annotated[list[str] | None, Header()] = None,
    raw_name: Annotated[str | None, Header(convert_underscores=False)] = None,
    content_type: Annotated[str | None, Header()] = None,
):
    return note(**locals())


def header_model(traces: Annotated[Traces, Header()]):
    return note(**locals())


def model_body(item: Item):
    return note(**locals())


def default_body(item: Annotated[Item | None, Body()] = None):
    return note(**locals())


def embedded_body(item: Annotated[Item, Body(embed=True)]):
    return note(**locals())


def two_bodies(item: Item, point: Point, number: Annotated[int, Body(gt=0)] = 3):
    return note(**locals())


def dict_body(data: dict[str, Any]):
    return note(**locals())


def list_body(data: list[Item]):
    return note(**locals())


def scalar_body(n: Annotated[int, Body()]):
    return note(**locals())


def bytes_body(data: Annotated[bytes, Body()]):
    return note(**locals())


def any_body(data: Annotated[Any, Body()]):
    return note(**locals())


def dataclass_body(point: Point):
    return note(**locals())


def doubling_body(data: Doubling):
    return note(**locals())


def secret_body(account: Account):
    return note(password=account.password.get_secret_value(), **locals())


def tagged_body(pet: Annotated[Cat | Dog, Body(discriminator="kind")]):
    return note(**locals())


def old_union_body(pet: Union[Cat, Dog]):  # noqa: UP007
    return note(**locals())


def mixed(name: str, item: Item, q: int = 0, x_token: Annotated[str, Header()] = "none"):
    return note(**locals())


def form_fields(a: Annotated[str, Form()], b: Annotated[int, Form(alias="bee")] = 2, c: Annotated[str, Form()] = "c"):
    return note(**locals())


def form_lists(tags: Annotated[list[str], Form()]):
    return note(**locals())


def form_model(data: Annotated[Plain, Form()]):
    return note(**locals())


def form_strict(data: Annotated[Strict, Form()]):
    return note(**locals())


def form_json(data: Annotated[Json[dict[str, int]], Form()]):
    return note(**locals())


def one_file(file: UploadFile):
    return note(**locals())


def optional_file(file: UploadFile | None = None, text: Annotated[str, Form()] = ""):
    return note(**locals())


def many_files(files: list[UploadFile], title: Annotated[str, Form()]):
    return note(**locals())


def file_bytes(data: Annotated[bytes, File()], more: Annotated[list[bytes] | None, File()] = None):
    return note(**locals())


def file_model(upload: Annotated[Upload, Form()]):
    return note(**locals())


def async_params_only(x_a: Annotated[str, Header()], n: int = 1, *, m: int = 2):
    return note(**locals())


def other_body(token: Annotated[str, Body()]) -> None: ...


def same_body(item: Item) -> None: ...


def other_form(password: Annotated[str, Form()]) -> None: ...


def compare(function, request, tmp_path, routes: Routes | None = None) -> Operation:
    routes = routes or Routes()
    request = {"method": routes.method, **request}
    SEEN.clear()
    plain = routes.client(function).request(**request)
    if plain.status_code == 422 and OLDER:
        pytest.skip("this FastAPI cannot read the request itself")
    assert plain.status_code == 200, plain.text
    operation = Operation(function, tmp_path, routes)
    operation.send(**request)
    arguments = operation.arguments()
    function(**arguments)
    close_files(arguments.files)
    assert len(SEEN) == 2
    assert SEEN[0] == SEEN[1]
    return operation
