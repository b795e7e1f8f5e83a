"""Components of the OpenAPI document have names that stay, also where models of users have the same."""

from __future__ import annotations

import sys
import types
from typing import Annotated, Any

import pytest
from fastapi import Body, FastAPI
from pydantic import BaseModel, create_model

from tests.openapi.application import Report
from tests.openapi.documents import document_of, reference, schema_of


class Operation(BaseModel):
    """A user's model with the name of ours."""

    surgeon: str


@pytest.mark.parametrize(
    ("result", "name"),
    [
        (list[Report], "ListReportOperation"),
        (dict[str, int], "DictStrIntOperation"),
        (int, "IntOperation"),
        (Report | None, "ReportOperation"),
        (int | Report, "IntOrReportOperation"),
        (Annotated[Report, Body()], "ReportOperation"),
        (Operation, "OperationOperation"),
        (None, "Operation"),
        (Any, "Operation"),
    ],
)
def test_every_result_gives_its_operation_a_name(result, name):
    """Models, containers, primitives, unions, nothing, and a user's model that is called as ours."""

    def register(rain):
        def kind(): ...

        kind.__annotations__["return"] = result
        rain.post("/kind")(kind)

    assert schema_of(document_of(register), "/kind")["$ref"].endswith(name)


def test_kinds_with_the_same_result_share_one_component():
    """Clients get one type for them."""

    def register(rain):
        @rain.post("/one")
        def one() -> Report: ...

        @rain.post("/two")
        def two() -> Report: ...

    document = document_of(register)
    assert schema_of(document, "/one") == schema_of(document, "/two") == reference("ReportOperation")


@pytest.mark.parametrize("separate", [False, True])
def test_models_of_one_name_from_two_modules_are_told_apart(separate):
    """By their modules, as FastAPI does, and so are their operations; nothing crashes."""

    def register(rain):
        for module in ("shop", "stock"):
            sys.modules.setdefault(module, types.ModuleType(module))
            model = create_model("Invoice", __module__=module, **{module: (int, ...)})

            def kind(order): ...

            kind.__name__ = module
            kind.__annotations__ = {"order": model, "return": model}
            rain.post(f"/{module}")(kind)

    document = document_of(register, app=FastAPI(separate_input_output_schemas=separate))
    assert schema_of(document, "/shop") == reference("shop__InvoiceOperation")
    assert schema_of(document, "/stock") == reference("stock__InvoiceOperation")


def test_a_users_problem_model_of_our_name_is_told_apart():
    """The problem answers then refer to ours by its long name, and to nothing that does not exist."""

    def register(rain):
        model = create_model("OperationProblem", __module__=__name__, cause=(str, ...))

        def kind(): ...

        kind.__annotations__["return"] = model
        rain.post("/kind")(kind)

    document = document_of(register)
    found = schema_of(document, "/kind", status="409", media_type="application/problem+json")
    assert found == reference("raincheck__fastapi__models__OperationProblem")
