"""The OpenAPI document: typed, named, complete, valid, and the user's own additions survive."""

from __future__ import annotations

import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import FileResponse, HTMLResponse
from openapi_spec_validator import validate
from pydantic import BaseModel

from raincheck.core.operation import Status
from raincheck.fastapi.models import OperationStatus
from tests.openapi.application import Report, application
from tests.openapi.documents import document_of, operations, reference, schema_of

LINE = {"schema": {"type": "string"}}
PROBLEM = {"$ref": "#/components/schemas/OperationProblem"}


@pytest.fixture(scope="module")
def document():
    return application(store="memory:", owned=True).openapi()


@pytest.mark.parametrize("owned", [False, True])
@pytest.mark.parametrize("prefix", [None, "/api/v1"])
@pytest.mark.parametrize("separate", [False, True])
def test_the_document_is_valid_openapi(owned, prefix, separate):
    """Every sort of kind, with and without owners, prefix and separate schemas for input and output."""
    app = application(store="memory:", owned=owned, prefix=prefix)
    app.separate_input_output_schemas = separate
    document = app.openapi()
    validate(document)
    assert document["openapi"].startswith("3.1")
    assert f"{prefix or ''}/operations/{{operation_id}}" in document["paths"]


def test_the_202_is_the_typed_operation_and_the_200_the_functions_own(document):
    """`Operation[Report]` is the component `ReportOperation`, and its result a Report or null."""
    assert schema_of(document, "/reports") == reference("ReportOperation")
    assert schema_of(document, "/reports", status="200") == reference("Report")
    result = document["components"]["schemas"]["ReportOperation"]["properties"]["result"]
    assert result["anyOf"] == [reference("Report"), {"type": "null"}]


def test_operation_ids_are_short_and_unique(document):
    """The kind's own name for submits, fixed names for the operation routes."""
    found = [operation["operationId"] for operation in operations(document)]
    assert len(set(found)) == len(found)
    assert {"getOperation", "getOperationResult", "cancelOperation", "retryOperation"} <= set(found)
    assert {"deleteOperation", "listOperations", "create_report", "count_books"} <= set(found)


def test_components_have_short_names(document):
    """No module paths and no brackets, which generated clients would carry into their type names."""
    names = set(document["components"]["schemas"])
    assert {"Operation", "ReportOperation", "IntOperation", "ListReportOperation", "OperationProblem"} <= names
    assert not [name for name in names if "__" in name or "[" in name]


def test_the_status_is_a_named_string_enum_of_all_statuses(document):
    """`OperationStatus` is what the core knows, no more and no less."""
    component = document["components"]["schemas"]["OperationStatus"]
    assert component["type"] == "string"
    assert component["enum"] == [status.value for status in Status]
    assert [*OperationStatus] == [*Status]


def test_the_202_links_to_what_one_can_do_with_it(document):
    """Each link names an operation of the document and takes the id from the body."""
    known = {operation["operationId"] for operation in operations(document)}
    links = document["paths"]["/reports"]["post"]["responses"]["202"]["links"]
    assert {"status", "result", "cancel"} <= set(links)
    for link in links.values():
        assert link["operationId"] in known
        assert link["parameters"] == {"operation_id": "$response.body#/id"}


@pytest.mark.parametrize(
    ("path", "method", "status", "names"),
    [
        ("/reports", "post", "202", {"Location", "Operation-Location", "Retry-After", "Vary", "Cache-Control"}),
        ("/reports", "post", "202", {"Preference-Applied", "Idempotency-Replayed"}),
        ("/reports", "post", "200", {"Operation-Id", "Operation-Status", "ETag", "Preference-Applied"}),
        ("/reports", "post", "429", {"Retry-After"}),
        ("/operations/{operation_id}", "get", "200", {"ETag", "Retry-After", "Cache-Control"}),
        ("/operations/{operation_id}", "get", "304", {"ETag"}),
        ("/operations/{operation_id}/result", "get", "200", {"Operation-Id", "Operation-Status", "ETag"}),
        ("/operations/{operation_id}/result", "get", "206", {"Content-Range"}),
        ("/operations/{operation_id}/result", "get", "409", {"Retry-After"}),
        ("/operations/{operation_id}/cancel", "post", "202", {"Retry-After"}),
        ("/operations/{operation_id}/retry", "post", "202", {"Location", "Operation-Location"}),
        ("/operations", "get", "200", {"Link", "Cache-Control"}),
    ],
)
def test_headers_are_documented(document, path, method, status, names):
    """With a schema each."""
    headers = document["paths"][path][method]["responses"][status]["headers"]
    assert names <= set(headers)
    assert all("schema" in header for header in headers.values())


def test_every_error_is_documented_as_a_problem(document):
    """RFC 9457 under its own media type; 401 and 403 are the application's own."""
    for operation in operations(document):
        for status, response in operation["responses"].items():
            if status[0] in "45" and status not in {"401", "403", "416", "4XX", "5XX"}:
                assert response["content"]["application/problem+json"]["schema"] == PROBLEM, operation["operationId"]
    submit = set(document["paths"]["/reports"]["post"]["responses"])
    assert {"400", "401", "403", "409", "410", "413", "422", "429", "500", "503", "504", "507", "4XX", "5XX"} <= submit


def test_invalid_input_is_documented_as_fastapi_does(document):
    """The component of ordinary routes, beside the problem of a reused key."""
    either = schema_of(document, "/reports", status="422")["anyOf"]
    assert reference("HTTPValidationError") in either


def test_without_guards_no_401_is_documented():
    """An open application refuses nobody, but for tickets that have run out."""
    document = application(store="memory:", owned=False).openapi()
    refusing = [each for each in operations(document) if {"401", "403"} & set(each["responses"])]
    assert [each["operationId"] for each in refusing] == ["getOperationEvents"]
    assert "403" not in refusing[0]["responses"]


def test_path_query_form_and_file_parameters_are_fastapis_own(document):
    """Beside the headers of ours, which follow them."""
    parameters = document["paths"]["/shelves/{shelf}/counts"]["post"]["parameters"]
    names = [(parameter["in"], parameter["name"]) for parameter in parameters]
    assert names[:3] == [("path", "shelf"), ("query", "colour"), ("query", "least")]
    assert ("header", "Idempotency-Key") in names
    assert "multipart/form-data" in document["paths"]["/pictures"]["post"]["requestBody"]["content"]
    assert "application/x-www-form-urlencoded" in document["paths"]["/labels"]["post"]["requestBody"]["content"]


def test_files_and_texts_are_documented_under_their_media_type():
    """A response class with a media type is named; a FileResponse may be anything, until `responses` says more."""

    def register(rain):
        @rain.post("/page", response_class=HTMLResponse)
        def page() -> str: ...

        @rain.post("/file")
        def file() -> FileResponse: ...

        @rain.post("/pdf", responses={200: {"content": {"application/pdf": {}}}})
        def pdf() -> FileResponse: ...

    document = document_of(register)
    contents = {
        path: set(document["paths"][path]["post"]["responses"]["200"]["content"]) for path in ("/page", "/file", "/pdf")
    }
    assert contents == {"/page": {"text/html"}, "/file": {"*/*"}, "/pdf": {"application/pdf"}}


def test_what_the_user_documents_survives():
    """`responses`, `tags`, `openapi_extra`, `summary`, `response_description`, `status_code`, `deprecated`."""

    class Missing(BaseModel):
        part: str

    def register(rain):
        @rain.post(
            "/parts",
            status_code=201,
            tags=["parts"],
            summary="Build it",
            deprecated=True,
            response_description="The part",
            responses={404: {"model": Missing, "description": "No such part"}, 202: {"headers": {"X-Line": LINE}}},
            openapi_extra={"x-owner": "parts", "parameters": [{"name": "X-A", "in": "header", "schema": {}}]},
        )
        def build() -> Report: ...

    document = document_of(register)
    operation = document["paths"]["/parts"]["post"]
    assert operation["tags"] == ["parts"]
    assert operation["summary"] == "Build it"
    assert operation["deprecated"] is True
    assert operation["x-owner"] == "parts"
    assert {"X-A", "Prefer"} <= {parameter["name"] for parameter in operation["parameters"]}
    assert operation["responses"]["201"]["description"] == "The part"
    assert operation["responses"]["404"]["description"] == "No such part"
    assert schema_of(document, "/parts", status="404") == reference("Missing")
    assert {"X-Line", "Location"} <= set(operation["responses"]["202"]["headers"])
    assert schema_of(document, "/parts") == reference("ReportOperation")


def test_a_function_that_answers_202_shares_the_status():
    """Both answers are documented under it, and no header is promised that only one of them carries."""

    def register(rain):
        @rain.post("/kind", status_code=202)
        def kind() -> Report: ...

    document = document_of(register)
    assert schema_of(document, "/kind")["anyOf"] == [reference("ReportOperation"), reference("Report")]
    headers = document["paths"]["/kind"]["post"]["responses"]["202"]["headers"]
    assert not [name for name, header in headers.items() if header.get("required")]


def test_a_function_without_a_body_documents_none():
    """Status 204."""

    def register(rain):
        @rain.delete("/kind", status_code=204)
        def kind() -> None: ...

    document = document_of(register)
    assert "content" not in document["paths"]["/kind"]["delete"]["responses"]["204"]


def test_routers_with_prefixes_are_documented_where_they_are():
    """`rain.router(prefix=…)` included under another prefix, with tags and guards of its own."""

    def guard():
        raise HTTPException(403)

    app = FastAPI()

    def register(rain):
        router = rain.router(prefix="/shop", tags=["shop"])

        @router.post("/reports", dependencies=[Depends(guard)])
        def create() -> Report: ...

        app.include_router(router, prefix="/v2")

    operation = document_of(register, app=app, prefix="/api")["paths"]["/v2/shop/reports"]["post"]
    assert operation["operationId"] == "create"
    assert operation["tags"] == ["shop"]
    assert "403" in operation["responses"]


def test_the_users_own_way_of_making_operation_ids_is_kept():
    """`operation_id` and `generate_unique_id_function` outrank the kind's name."""

    def register(rain):
        @rain.post("/one", operation_id="makeOne")
        def one() -> int: ...

        @rain.post("/two", generate_unique_id_function=lambda route: f"custom_{route.name}")
        def two() -> int: ...

    found = {operation["operationId"] for operation in operations(document_of(register))}
    assert {"makeOne", "custom_two"} <= found
