"""The OpenAPI document tells of the webhooks that an application sends."""

from __future__ import annotations

import pytest
from fastapi import APIRouter

from raincheck import Callbacks
from tests.openapi.application import SECRET, Report, application
from tests.openapi.documents import document_of, operations, reference


@pytest.fixture(scope="module")
def document():
    return application(store="memory:", owned=True).openapi()


def test_a_submit_documents_the_callback_it_makes(document):
    """Typed by the route's own result, with the headers that sign it; operation ids stay unique."""
    (callback,) = document["paths"]["/reports"]["post"]["callbacks"].values()
    sent = callback["{$request.header.callback-url}"]["post"]
    assert sent["operationId"] == "create_reportCallback"
    assert sent["requestBody"]["content"]["application/json"]["schema"] == reference("ReportOperationWebhook")
    assert document["components"]["schemas"]["ReportOperationWebhook"]["properties"]["data"] == reference(
        "ReportOperation"
    )
    names = {each["name"] for each in sent["parameters"] if each["required"]}
    assert names == {"webhook-id", "webhook-timestamp", "webhook-signature"}
    asked = {each["name"] for each in document["paths"]["/reports"]["post"]["parameters"]}
    assert {"Callback-Url", "Callback-Events"} <= asked
    ids = [
        way["operationId"]
        for operation in operations(document)
        for routes in operation.get("callbacks", {}).values()
        for path in routes.values()
        for way in path.values()
    ]
    ids += [operation["operationId"] for operation in operations(document)]
    ids += [way["operationId"] for path in document["webhooks"].values() for way in path.values()]
    assert len(set(ids)) == len(ids)


def test_configured_webhooks_are_documented_by_their_events(document):
    """Those that some endpoint asked for, and no others."""
    assert set(document["webhooks"]) == {"operation.succeeded", "operation.failed", "operation.cancelled"}
    sent = document["webhooks"]["operation.failed"]["post"]
    assert sent["requestBody"]["content"]["application/json"]["schema"] == reference("OperationWebhook")


def test_an_application_without_webhooks_documents_none():
    """No header, no callback, no route for what does not exist."""
    document = document_of(lambda rain: rain.post("/reports")(report_of_nothing))
    assert "webhooks" not in document
    submit = document["paths"]["/reports"]["post"]
    assert "callbacks" not in submit
    assert not [each for each in submit["parameters"] if each["name"].startswith("Callback")]
    assert not [path for path in document["paths"] if "deliveries" in path]


def test_a_users_own_callbacks_stay_beside_ours():
    """FastAPI's argument works as on ordinary routes."""
    router = APIRouter()

    @router.post("{$request.query.notify}")
    def notify() -> None:
        """What the user sends."""

    callbacks = Callbacks(secret=SECRET)
    document = document_of(
        lambda rain: rain.post("/reports", callbacks=router.routes)(report_of_nothing),
        callbacks=callbacks,
        public_url="https://api.example.com",
    )
    paths = {path for routes in document["paths"]["/reports"]["post"]["callbacks"].values() for path in routes}
    assert paths == {"{$request.query.notify}", "{$request.header.callback-url}"}


async def report_of_nothing() -> Report:
    return Report(title="", pages=1, chapters=[])
