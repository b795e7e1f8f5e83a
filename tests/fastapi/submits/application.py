"""An application with a route of each form whose values the short way can read."""

from __future__ import annotations

import json
from datetime import date
from typing import Annotated, Any

from fastapi import Body, FastAPI, Header, HTTPException, Query
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict, Field, field_validator

from raincheck import Raincheck

ORDER = {"sku": "A-1", "quantity": 2, "day": "2026-02-28"}
JSON = {"content-type": "application/json"}
TEXT = json.dumps(ORDER).encode()


class Order(BaseModel):
    """What is ordered."""

    model_config = ConfigDict(extra="forbid")
    sku: str = Field(max_length=5)
    count: int = Field(1, alias="quantity")
    day: date | None = None
    price: float | None = None

    @field_validator("sku")
    @classmethod
    def _is_known(cls, sku: str) -> str:
        if sku == "gone":
            raise HTTPException(410, "no longer sold")
        return sku


class FastAPIsWay(APIRoute):
    """A route class of the application's own, which Raincheck leaves as it is."""


def declare(rain: Raincheck) -> None:
    """Declare a route of each form whose values the short way can read."""

    @rain.post("/orders", wait=5)
    async def order(order: Order) -> Any:
        """Take a body."""
        return repr(order)

    @rain.post("/maybe", wait=5)
    async def maybe(order: Annotated[Order | None, Body()] = None) -> Any:
        """Take a body, or none."""
        return repr(order)

    @rain.post("/things/{number}", wait=5)
    async def thing(
        number: int,
        document: dict[str, Any],
        tag: Annotated[list[str], Query(alias="t")] = [],  # noqa: B006
        *,
        limit: Annotated[int, Query(le=10)] = 3,
        x_tenant: Annotated[str, Header()] = "none",
    ) -> Any:
        """Take a value from everywhere."""
        return repr((number, document, tag, limit, x_tenant))

    @rain.post("/empty", wait=5)
    async def empty(name: str = "nobody") -> Any:
        """Take no body."""
        return repr(name)


def included(app: FastAPI, rain: Raincheck, **options: Any) -> None:
    """Include a router of operations twice, once as it is and once with options."""
    router = rain.router()

    @router.post("/orders", wait=5)
    async def order(order: Order) -> Any:
        """Take a body."""
        return repr(order)

    app.include_router(router, prefix="/open")
    app.include_router(router, prefix="/closed", **options)


def application(route_class: type[APIRoute] = APIRoute, **options: Any) -> FastAPI:
    """Return an application whose operations wait for their end."""
    app = FastAPI(**options)
    app.router.route_class = route_class
    declare(Raincheck(app, store="memory:"))
    return app


def answers(client: TestClient, path: str, headers: dict[str, str], body: bytes) -> Any:
    """Return what a client is told."""
    found = client.request("POST", path, headers=headers, content=body)
    return found.status_code, found.headers["content-type"], found.text
