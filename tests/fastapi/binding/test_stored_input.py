"""A stored request gives the function exactly what the request gave."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal, Union
from uuid import UUID

import fastapi
import pydantic
import pytest
from fastapi import Body, Depends, FastAPI, File, Form, Header, Path, Query, Response, UploadFile
from fastapi.security import APIKeyHeader, APIKeyQuery, OAuth2PasswordBearer
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

from raincheck.context import OperationContext
from raincheck.core.errors import DefinitionError, InputMismatch
from raincheck.core.fingerprint import fingerprint
from raincheck.fastapi.stored_form import close_files
from tests.fastapi.binding.harness import Operation, Routes, noted

SEEN: list[Any] = []
OLDER = tuple(int(part) for part in fastapi.__version__.split(".")[:2]) < (0, 165)


def note(**values: Any) -> Response:
    SEEN.append(noted(values))
    return Response()


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Shade(StrEnum):
    DARK = "dark"


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


ITEM = {"name": "Größe \u2028", "price": 2, "when": "2026-01-02T03:04:05Z", "ignored": 1}
UID = "12345678-1234-5678-1234-567812345678"
JSON = {"content-type": "application/json"}
FILE = ("a b.txt", b"\x00\xffdata" * 1000, "text/x-special; charset=latin-1")
CASES = [
    pytest.param(simple_query, {"url": "/run?q=%C3%A4+b&limit=3&flag=yes&other=1"}, id="query"),
    pytest.param(simple_query, {"url": "/run?q="}, id="query defaults"),
    pytest.param(list_query, {"url": "/run?tag=a&n=1&tag=b&n=2"}, id="query lists"),
    pytest.param(alias_query, {"url": "/run?item-query=x&zed=4"}, id="query aliases"),
    pytest.param(choice_query, {"url": "/run?second=x"}, id="query alias choices"),
    pytest.param(typed_query, {"url": f"/run?day=2026-01-02&color=red&amount=1.10&key={UID}"}, id="query types"),
    pytest.param(factory_query, {"url": "/run"}, id="query default factory"),
    pytest.param(model_query, {"url": "/run?tags=a&tags=b&max-items=3&x=1"}, id="query model"),
    pytest.param(open_model_query, {"url": "/run?limit=3&x=1&x=2&y=z"}, id="query model with extras"),
    pytest.param(curious_query, {"url": "/run?secret_total=3"}, id="query model that reads undeclared keys"),
    pytest.param(before_query, {"url": "/run?q=3"}, id="validator that is not idempotent"),
    pytest.param(either_way, {"url": "/run?item_id=7"}, id="no path parameter, so query"),
    pytest.param(headers, {"url": "/run", "headers": {"x-token": "t", "raw_name": "r"}}, id="headers"),
    pytest.param(
        headers,
        {"url": "/run", "headers": [("x-token", "t\u00e9".encode("latin-1")), ("x-many", "1"), ("x-many", "2")]},
        id="repeated headers",
    ),
    pytest.param(
        header_model,
        {"url": "/run", "headers": [("x-trace", "t"), ("x-tags", "1"), ("x-tags", "2")]},
        id="header model",
    ),
    pytest.param(model_body, {"url": "/run", "json": ITEM}, id="model"),
    pytest.param(
        model_body,
        {"url": "/run", "content": b'{"name": "a"}', "headers": {"content-type": "application/vnd.x+json"}},
        id="json subtype",
    ),
    pytest.param(default_body, {"url": "/run"}, id="absent body"),
    pytest.param(default_body, {"url": "/run", "content": "null", "headers": JSON}, id="null body"),
    pytest.param(embedded_body, {"url": "/run", "json": {"item": ITEM}}, id="embedded"),
    pytest.param(two_bodies, {"url": "/run", "json": {"item": ITEM, "point": {"x": 1}}}, id="several bodies"),
    pytest.param(
        dict_body,
        {"url": "/run", "content": '{"a": 1e400, "a": [1.0, 12345678901234567890]}', "headers": JSON},
        id="dict",
    ),
    pytest.param(list_body, {"url": "/run", "json": [ITEM, {"name": "b"}]}, id="list"),
    pytest.param(scalar_body, {"url": "/run", "content": "7", "headers": JSON}, id="scalar"),
    pytest.param(
        bytes_body, {"url": "/run", "content": b"\xff\x00raw", "headers": {"content-type": "image/png"}}, id="bytes"
    ),
    pytest.param(bytes_body, {"url": "/run", "content": b"raw"}, id="bytes without content type"),
    pytest.param(
        any_body, {"url": "/run", "content": b"text", "headers": {"content-type": "text/plain"}}, id="text as any"
    ),
    pytest.param(dataclass_body, {"url": "/run", "json": {"x": "1"}}, id="dataclass"),
    pytest.param(doubling_body, {"url": "/run", "json": {"amount": 2}}, id="model that is not idempotent"),
    pytest.param(
        secret_body, {"url": "/run", "json": {"login": "a", "password": "p", "note": "n"}}, id="secret and excluded"
    ),
    pytest.param(tagged_body, {"url": "/run", "json": {"kind": "dog", "good": True}}, id="discriminated union"),
    pytest.param(old_union_body, {"url": "/run", "json": {"kind": "cat", "lives": 9}}, id="union"),
    pytest.param(model_body, {"url": "/run", "json": {"name": "x" * 400_000}}, id="large body"),
    pytest.param(form_fields, {"url": "/run", "data": {"a": "1 & 2", "bee": "5", "c": "", "d": "no"}}, id="form"),
    pytest.param(form_lists, {"url": "/run", "data": {"tags": ["a", "b"]}}, id="form list"),
    pytest.param(form_model, {"url": "/run", "data": {"title": "t", "tags": ["a", "b"], "x": "1"}}, id="form model"),
    pytest.param(form_strict, {"url": "/run", "data": {"a": "1"}}, id="form model that forbids extras"),
    pytest.param(form_json, {"url": "/run", "data": {"data": '{"a": 1}'}}, id="JSON in a form"),
    pytest.param(form_fields, {"url": "/run", "data": {"a": "x" * 400_000}}, id="large form"),
    pytest.param(one_file, {"url": "/run", "files": {"file": FILE}}, id="file"),
    pytest.param(one_file, {"url": "/run", "files": {"file": ("big", b"b" * 3_000_000)}}, id="file on disk"),
    pytest.param(one_file, {"url": "/run", "files": {"file": ("empty", b"")}}, id="empty file"),
    pytest.param(optional_file, {"url": "/run", "data": {"text": "t"}}, id="no file"),
    pytest.param(
        many_files,
        {"url": "/run", "files": [("files", FILE), ("files", ("b", b"2"))], "data": {"title": "t"}},
        id="files and a field",
    ),
    pytest.param(
        file_bytes,
        {"url": "/run", "files": [("data", FILE), ("more", ("m", b"1")), ("more", ("n", b"2"))]},
        id="bytes of files",
    ),
    pytest.param(
        file_model,
        {"url": "/run", "files": {"file": FILE}, "data": {"title": "t", "copies": "3"}},
        id="form model with file",
    ),
    pytest.param(async_params_only, {"url": "/run?m=4", "headers": {"x-a": "1"}}, id="keyword-only"),
]


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


@pytest.mark.parametrize(("function", "request_"), CASES)
def test_a_run_gets_what_the_request_gave(function, request_, tmp_path) -> None:
    """The stored request, read in a fresh process, gives the values that a plain FastAPI endpoint gets."""
    compare(function, request_, tmp_path)


@pytest.mark.parametrize(
    ("function", "request_", "routes"),
    [
        pytest.param(
            path_values,
            {"url": f"/run/a%20b/7/{UID}"},
            Routes(path="/run/{name}/{number:int}/{key:uuid}"),
            id="converted path values",
        ),
        pytest.param(
            strict_path,
            {"url": f"/run/{UID}/1.5"},
            Routes(path="/run/{key:uuid}/{number:float}"),
            id="converted path values under strict types",
        ),
        pytest.param(path_values, {"url": f"/run/a/7/{UID}"}, Routes(path="/run/{name}/{number}/{key}"), id="path"),
        pytest.param(path_alias, {"url": "/run/7"}, Routes(path="/run/{number}"), id="path alias"),
        pytest.param(
            path_values, {"url": f"/run/a/b/7/{UID}"}, Routes(path="/run/{name:path}/{number}/{key}"), id="rest"
        ),
        pytest.param(prefix_path, {"url": "/t/acme/run", "json": ITEM}, Routes(prefix="/t/{tenant}"), id="prefix"),
        pytest.param(either_way, {"url": "/9/run"}, Routes(prefix="/{item_id}"), id="query that became a path"),
        pytest.param(
            mixed,
            {"url": "/x/run/n?q=3", "json": ITEM, "headers": {"x-token": "t"}},
            Routes(path="/run/{name}", prefix="/{other}"),
            id="all at once, under an undeclared prefix",
        ),
        pytest.param(simple_query, {"url": "/run?q=1"}, Routes(method="GET"), id="GET"),
        pytest.param(
            model_body,
            {"url": "/run", "content": b'{"name": "a"}'},
            Routes(app_options={"strict_content_type": False}),
            id="no content type, not strict",
        ),
    ],
)
def test_paths_and_route_options_are_kept(function, request_, routes, tmp_path) -> None:
    """Path parameters of include_router prefixes, converters and content type rules apply at the run as well."""
    compare(function, request_, tmp_path, routes)


def other_body(token: Annotated[str, Body()]) -> None: ...


def same_body(item: Item) -> None: ...


def other_form(password: Annotated[str, Form()]) -> None: ...


@pytest.mark.parametrize("place", ["dependencies", "router_dependencies", "include_dependencies"])
@pytest.mark.parametrize(
    ("function", "dependency", "request_"),
    [
        pytest.param(model_body, other_body, {"json": {"item": ITEM, "token": "s3cret"}}, id="json"),
        pytest.param(default_body, other_body, {"json": {"token": "s3cret"}}, id="json, own part absent"),
        pytest.param(model_body, same_body, {"json": ITEM}, id="same parameter"),
        pytest.param(two_bodies, other_body, {"json": {"item": ITEM, "point": {"x": 1}, "token": "s3cret"}}, id="two"),
        pytest.param(form_model, other_form, {"data": {"title": "t", "password": "s3cret"}}, id="form model"),
        pytest.param(scalar_body, other_form, {"data": {"n": "4", "password": "s3cret"}}, id="body read as a form"),
        pytest.param(simple_query, other_body, {"json": "s3cret", "params": {"q": "a"}}, id="no body of its own"),
    ],
)
def test_bodies_of_dependencies_change_the_reading(function, dependency, request_, place, tmp_path) -> None:
    """A body parameter of a dependency, wherever it was added, embeds the function's own; its values are not stored."""
    routes = Routes(**{place: (Depends(dependency),)})
    operation = compare(function, {"url": "/run", **request_}, tmp_path, routes)
    assert "s3cret" not in operation.captured.stored


def current_user() -> User:
    return User(id=7, born=date(2000, 1, 2), **{"in": "me"})


def paging(size: int = 5) -> tuple[int, Color]:
    return size, Color.BLUE


@dataclass
class Common:
    q: str = "x"
    level: int = 0


def no_user() -> User | None:
    return None


def raw(data: Annotated[bytes, Body()]) -> bytes:
    return data


def with_depends(
    user: Annotated[User, Depends(current_user)],
    common: Annotated[Common, Depends()],
    item: Item,
    page=Depends(paging),
    nobody: User | None = Depends(no_user),
):
    return note(**locals())


def test_depends_values_come_back_as_they_were(tmp_path) -> None:
    """Models with two aliases, tuples, enums, dataclasses and None survive the store."""
    compare(with_depends, {"url": "/run?size=3&q=z", "json": ITEM}, tmp_path)


def bytes_depends(data: Annotated[bytes, Depends(raw)]):
    return note(**locals())


def test_bytes_of_a_dependency_come_back(tmp_path) -> None:
    """A Depends value of bytes that are no UTF-8 survives the store."""
    compare(bytes_depends, {"url": "/run", "content": b"\xff\x00"}, tmp_path)


def shade() -> str:
    return Shade.DARK


def takes_shade(shade: Annotated[str, Depends(shade)]):
    return note(**locals())


def test_a_depends_value_that_only_equals_its_stored_form_is_refused(tmp_path) -> None:
    """A member of a StrEnum, declared as str, would come back as a plain str."""
    operation = Operation(takes_shade, tmp_path)
    with pytest.raises(DefinitionError, match="'shade', a Shade"):
        operation.client.post("/run")


class Admin(User):
    level: int = 3


def admin() -> User:
    return Admin(id=1)


def takes_admin(user: Annotated[User, Depends(admin)]):
    return note(**locals())


def test_a_depends_value_of_another_type_is_refused(tmp_path) -> None:
    """A subclass would silently lose its fields in the store, so the request fails and names WorkerDepends."""
    operation = Operation(takes_admin, tmp_path)
    with pytest.raises(DefinitionError, match=r"takes_admin: .*'user', a Admin.*WorkerDepends"):
        operation.client.post("/run")


def takes_claims(claims: Annotated[dict[str, Any], Depends(lambda: {"at": datetime(2026, 1, 1)})]):  # noqa: DTZ001
    return note(**locals())


def test_a_depends_value_that_changes_in_json_is_refused(tmp_path) -> None:
    """A datetime inside a dict of Any would come back as text."""
    operation = Operation(takes_claims, tmp_path)
    with pytest.raises(DefinitionError, match="'claims', a dict"):
        operation.client.post("/run")


def overridden(user: Annotated[User, Depends(current_user)]):
    return note(**locals())


def test_dependency_overrides_apply_at_the_request(tmp_path) -> None:
    """app.dependency_overrides replaces a Depends value before it is stored."""
    operation = Operation(overridden, tmp_path)
    app: FastAPI = operation.client.app
    app.dependency_overrides[current_user] = lambda: User(id=99)
    operation.send("/run")
    assert operation.arguments()["user"].id == 99


def keeps_nothing_secret(
    model: Annotated[OpenFilters, Query()],
    x_ok: Annotated[str, Header()],
    op: OperationContext,
):
    return note(**locals())


def key_guard(a: Annotated[str, Depends(APIKeyQuery(name="api_key"))]) -> None: ...


def test_credentials_and_undeclared_values_are_never_stored(tmp_path) -> None:
    """Authorization, cookies, API keys of dependencies and undeclared headers do not reach the stored text."""
    operation = Operation(keeps_nothing_secret, tmp_path, Routes(include_dependencies=(Depends(key_guard),)))
    operation.send(
        "/run?limit=1&more=kept&api_key=s3cret",
        headers={"authorization": "Bearer s3cret", "cookie": "a=s3cret", "x-other": "s3cret", "x-ok": "fine"},
    )
    stored = json.loads(operation.captured.stored)
    assert "s3cret" not in operation.captured.stored
    assert stored["query"] == [["limit", "1"], ["more", "kept"]]
    assert stored["headers"] == [["x-ok", "fine"]]


class OpenHeaders(BaseModel):
    model_config = ConfigDict(extra="allow")
    x_ok: str = ""


def open_headers(traces: Annotated[OpenHeaders, Header()]):
    return note(**locals())


def header_guard(a: Annotated[str, Depends(APIKeyHeader(name="X-Key"))]) -> None: ...


def test_an_open_header_model_gets_no_credentials(tmp_path) -> None:
    """A header model that takes every header still stores no credential."""
    operation = Operation(open_headers, tmp_path, Routes(dependencies=(Depends(header_guard),)))
    operation.send("/run", headers={"authorization": "s3cret", "cookie": "s3cret", "x-key": "s3cret", "x-ok": "1"})
    assert "s3cret" not in operation.captured.stored
    assert operation.arguments()["traces"].x_ok == "1"


def test_a_large_body_goes_to_a_blob(tmp_path) -> None:
    """Above 256 KiB the body is a file, and the stored text stays small."""
    operation = Operation(model_body, tmp_path)
    captured = operation.send("/run", json={"name": "x" * 300_000})
    assert captured.files == ("op_test/0/body",)
    assert len(captured.stored) < 200


def test_undeclared_uploads_are_not_kept(tmp_path) -> None:
    """A file under a name that the function does not declare costs no storage."""
    operation = Operation(form_fields, tmp_path)
    captured = operation.send("/run", data={"a": "1"}, files={"junk": ("j", b"junk")})
    assert captured.files == ()


def peek(file: UploadFile) -> None:
    file.file.read(2)


def test_an_upload_is_stored_whole_though_a_dependency_read_of_it(tmp_path) -> None:
    """A dependency that checks the first bytes of a file leaves the function the whole file."""
    operation = Operation(one_file, tmp_path, Routes(dependencies=(Depends(peek),)))
    (name,) = operation.send("/run", files={"file": FILE}).files
    assert operation.blobs.files[name].read_bytes() == FILE[1]


def test_values_with_uploads_are_not_handed_over(tmp_path) -> None:
    """FastAPI closes uploads with the request, so a first run reads the stored ones; other values are handed over."""
    with_file = Operation(one_file, tmp_path)
    assert with_file.send("/run", files={"file": FILE}).values is None
    without = Operation(model_body, tmp_path)
    assert without.send("/run", json={"name": "a"}).values == {"item": Item(name="a")}


# --- requests that today's code refuses ---------------------------------------------------------------------------


def stricter(item: Annotated[Item, Body()], n: Annotated[int, Query(gt=5)] = 9):
    return note(**locals())


def test_a_request_that_no_longer_fits_is_an_input_mismatch(tmp_path) -> None:
    """The text names places and rules, and repeats no value of the request."""
    operation = Operation(stricter, tmp_path)
    stored = json.dumps({"v": 1, "query": [["n", "1"]], "type": "application/json", "body": '{"price": "s3cret"}'})
    with pytest.raises(InputMismatch) as caught:
        operation.captured = operation.send("/run", json=ITEM)
        operation.arguments(stored)
    text = str(caught.value)
    assert "query.n: Input should be greater than 5" in text
    assert "body.name: Field required" in text
    assert "s3cret" not in text


class Telling(BaseModel):
    word: str

    @field_validator("word")
    @classmethod
    def _check(cls, value: str) -> str:
        if value != "ok":
            msg = f"{value} is wrong"
            raise ValueError(msg)
        return value


def telling(data: Telling):
    return note(**locals())


def test_messages_of_validators_are_not_repeated(tmp_path) -> None:
    """A validator's own message may hold the value, so only its place is told."""
    operation = Operation(telling, tmp_path)
    operation.send("/run", json={"word": "ok"})
    stored = json.dumps({"v": 1, "type": "application/json", "body": '{"word": "s3cret"}'})
    with pytest.raises(InputMismatch, match=r"^body\.word: refused by a validator \(value_error\)$"):
        operation.arguments(stored)


def test_a_missing_file_is_an_input_mismatch_and_leaks_no_handle(tmp_path) -> None:
    """A blob that is gone ends the operation; files opened before it are closed (a leak would warn)."""
    operation = Operation(many_files, tmp_path)
    captured = operation.send("/run", files=[("files", FILE), ("files", ("b", b"2"))], data={"title": "t"})
    operation.blobs.files[captured.files[1]].unlink()
    with pytest.raises(InputMismatch, match="a file of the stored request is missing"):
        operation.arguments()


def test_an_unknown_layout_is_refused(tmp_path) -> None:
    """A request stored by a newer release is not guessed at."""
    operation = Operation(simple_query, tmp_path)
    operation.send("/run?q=1")
    with pytest.raises(InputMismatch, match="layout 2"):
        operation.arguments('{"v": 2}')


# --- fingerprints -------------------------------------------------------------------------------------------------


def of(operation: Operation, url: str = "/run", **request) -> str:
    return fingerprint(operation.send(url, **request).content())


def test_json_fingerprints_count_values_not_spelling(tmp_path) -> None:
    """Key order, spaces and 1.0 do not matter; another value, path or query does."""
    operation = Operation(dict_body, tmp_path)
    first = of(operation, content=b'{"a": 1, "b": "\\u00e4"}', headers=JSON)
    assert len(first) == 64
    assert of(operation, content='{"b":"ä","a":1.0}'.encode(), headers=JSON) == first
    assert of(operation, content=b'{"a": 2, "b": "\\u00e4"}', headers=JSON) != first
    assert of(operation, "/run?x=1", content=b'{"a": 1, "b": "\\u00e4"}', headers=JSON) != first
    big = [of(operation, content=b'{"a": %d}' % n, headers=JSON) for n in (2**60, 2**60 + 1)]
    assert big[0] != big[1]


def test_other_bodies_count_by_their_bytes(tmp_path) -> None:
    """A body that is no JSON has no other spelling."""
    operation = Operation(bytes_body, tmp_path)
    plain = {"content-type": "text/plain"}
    assert of(operation, content=b"{}", headers=plain) != of(operation, content=b"{ }", headers=plain)


def test_form_fingerprints_count_fields_and_files(tmp_path) -> None:
    """Order, texts and contents of files count; the multipart boundary does not."""
    operation = Operation(many_files, tmp_path)

    def sent(content: bytes, title: str = "t") -> str:
        operation.blobs.files.clear()
        return of(operation, files=[("files", ("n", content))], data={"title": title})

    assert sent(b"1") == sent(b"1")
    assert len({sent(b"1"), sent(b"2"), sent(b"1", "u")}) == 3


def test_what_a_dependency_reads_counts_too(tmp_path) -> None:
    """The same key with another password is another request, though the password is not stored."""
    operation = Operation(form_fields, tmp_path, Routes(dependencies=(Depends(other_form),)))
    one = of(operation, data={"a": "t", "password": "a"})
    assert one == of(operation, data={"a": "t", "password": "a"})
    assert one != of(operation, data={"a": "t", "password": "b"})
    assert "password" not in operation.captured.stored


# --- the run ------------------------------------------------------------------------------------------------------


def test_files_are_closed_after_the_run(tmp_path) -> None:
    """Uploads stay open while the function runs and are closed by the stack of the run."""
    from contextlib import AsyncExitStack

    operation = Operation(one_file, tmp_path)
    operation.send("/run", files={"file": FILE})
    binding = operation.binding

    async def scenario() -> None:
        arguments = await binding.arguments(operation.captured.stored, operation.blobs.files)
        async with AsyncExitStack() as stack:
            found = await binding.resolve(
                arguments, context=OperationContext(), stack=stack, run_sync=asyncio.to_thread, app=None
            )
            assert found["file"].file.read() == FILE[1]
        assert found["file"].file.closed

    asyncio.run(scenario())


def test_the_routes_signature_is_the_request_part_only(tmp_path) -> None:
    """FastAPI sees the function's name and docs, no context, and no way back to the function."""
    operation = Operation(keeps_nothing_secret, tmp_path)
    schema = operation.client.get("/openapi.json").json()["paths"]["/run"]["post"]
    assert schema["operationId"] == "keeps_nothing_secret_run_post"
    assert {one["name"] for one in schema["parameters"]} == {"limit", "x-ok"}
    assert "requestBody" not in schema


bearer = OAuth2PasswordBearer(tokenUrl="token")


def user_of(token: Annotated[str, Depends(bearer)]) -> User:
    return User(id=len(token))


def guarded(user: Annotated[User, Depends(user_of)]):
    return note(**locals())


def test_a_scheme_inside_a_dependency_is_free(tmp_path) -> None:
    """The user is stored, the token is not."""
    operation = compare(guarded, {"url": "/run", "headers": {"authorization": "Bearer s3cret"}}, tmp_path)
    assert "s3cret" not in operation.captured.stored
    assert operation.arguments()["user"].id == 6
