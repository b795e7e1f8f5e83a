"""Nothing is stored that only the request needed: credentials, cookies, headers that nobody declared."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import Depends, Header, Query
from fastapi.security import APIKeyHeader, APIKeyQuery
from pydantic import BaseModel, ConfigDict

from raincheck.context import OperationContext
from tests.fastapi.binding.functions import OpenFilters, note
from tests.fastapi.binding.harness import Operation, Routes


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


def test_the_routes_signature_is_the_request_part_only(tmp_path) -> None:
    """FastAPI sees the function's name and docs, no context, and no way back to the function."""
    operation = Operation(keeps_nothing_secret, tmp_path)
    schema = operation.client.get("/openapi.json").json()["paths"]["/run"]["post"]
    assert schema["operationId"] == "keeps_nothing_secret_run_post"
    assert {one["name"] for one in schema["parameters"]} == {"limit", "x-ok"}
    assert "requestBody" not in schema
