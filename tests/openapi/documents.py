"""Documents of applications, and what is in them."""

from __future__ import annotations

from fastapi import FastAPI
from openapi_spec_validator import validate

from raincheck import Raincheck


def document_of(register, *, app=None, **options):
    """Return the valid document of an application with the kinds that ``register(rain)`` adds."""
    app = app or FastAPI()
    rain = Raincheck(app, store="memory:", **options)
    register(rain)
    document = app.openapi()
    validate(document)
    return document


def schema_of(document, path, method="post", status="202", media_type="application/json"):
    return document["paths"][path][method]["responses"][status]["content"][media_type]["schema"]


def reference(name):
    return {"$ref": f"#/components/schemas/{name}"}


def operations(document):
    return [operation for path in document["paths"].values() for operation in path.values()]
