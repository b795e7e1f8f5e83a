"""A stored request gives the function exactly what the request gave."""

from __future__ import annotations

import pytest
from fastapi import Depends

from tests.fastapi.binding.functions import (
    FILE,
    ITEM,
    JSON,
    UID,
    alias_query,
    any_body,
    async_params_only,
    before_query,
    bytes_body,
    choice_query,
    compare,
    curious_query,
    dataclass_body,
    default_body,
    dict_body,
    doubling_body,
    either_way,
    embedded_body,
    factory_query,
    file_bytes,
    file_model,
    form_fields,
    form_json,
    form_lists,
    form_model,
    form_strict,
    header_model,
    headers,
    list_body,
    list_query,
    many_files,
    mixed,
    model_body,
    model_query,
    old_union_body,
    one_file,
    open_model_query,
    optional_file,
    other_body,
    other_form,
    path_alias,
    path_values,
    prefix_path,
    same_body,
    scalar_body,
    secret_body,
    simple_query,
    strict_path,
    tagged_body,
    two_bodies,
    typed_query,
)
from tests.fastapi.binding.harness import Routes

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
