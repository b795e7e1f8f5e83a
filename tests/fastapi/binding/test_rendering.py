"""Results are the bytes that FastAPI would have sent."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from fastapi import FastAPI, HTTPException, Response
from fastapi.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from fastapi.testclient import TestClient
from pydantic import BaseModel, Field, RootModel, SecretStr, computed_field
from starlette.background import BackgroundTask

from raincheck.core.errors import OperationFailed
from raincheck.fastapi.binding import bind
from raincheck.fastapi.rendering import ResultOptions
from raincheck.invocation import ResultMismatch


class Color(Enum):
    RED = "red"


class Part(BaseModel):
    name: str = Field(alias="partName")
    secret: SecretStr = SecretStr("s")
    hidden: int = Field(3, exclude=True)

    @computed_field
    @property
    def loud(self) -> str:
        return self.name.upper()


class Report(BaseModel):
    title: str
    parts: list[Part] = []
    note: str | None = None
    when: datetime = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


class Short(BaseModel):
    title: str


class Rooted(RootModel[list[int]]): ...


@dataclass
class Data:
    x: int
    y: dict[str, float]


def model() -> Report:
    return Report(title="ü", parts=[Part(partName="p")])


def filtered() -> Short:
    return Report(title="t")


def from_dict() -> Report:
    return {"title": "t"}


def models() -> list[Report]:
    return [Report(title="a"), Report(title="b", note="n")]


def primitive() -> int:
    return 3


def text() -> str:
    return 'a "quoted" \u2028 ü'


def number() -> float:
    return 1.0


def nothing() -> None:
    return None


def nothing_at_all():
    return None


def unchecked():
    return {"b": [1, 2.5, None, True], "when": datetime(2026, 1, 1, tzinfo=UTC), "u": UUID(int=1), "c": Color.RED}


def unchecked_model():
    return Report(title="t", parts=[Part(partName="p")])


def unchecked_data():
    return Data(1, {"a": 1e20})


def data() -> Data:
    return Data(1, {"a": float("inf")})


def rooted() -> Rooted:
    return Rooted([1, 2])


def mapping() -> dict[str, Decimal]:
    return {"a": Decimal("1.10")}


def moments() -> tuple[date, timedelta, set[int]]:
    return date(2026, 1, 1), timedelta(seconds=90), {1}


def union() -> Short | int:
    return 4


def anything() -> Any:
    return {"path": Path("/a"), "raw": b"abc"}


def literal() -> Annotated[Literal["a", "b"], Field(description="d")]:
    return "a"


def page() -> str:
    return "<p>ü</p>"


def raw() -> Response:
    return Response(b"\x00\xff", 203, {"X-A": "1", "Set-Cookie": "a=b"}, "image/png")


def json_response():
    return JSONResponse({"a": [1]}, 201)


def plain_response() -> PlainTextResponse:
    return PlainTextResponse("ü")


def redirect() -> RedirectResponse:
    return RedirectResponse("/elsewhere?a=ü")


def url() -> str:
    return "/there"


def sets(response: Response) -> dict[str, int]:
    response.status_code = 207
    response.headers["X-Extra"] = "e"
    response.set_cookie("a", "b")
    return {"a": 1}


def sets_and_returns(response: Response):
    response.headers["X-Extra"] = "lost, as in FastAPI"
    return PlainTextResponse("x")


CASES = [
    *[
        (function, {})
        for function in (
            model, filtered, from_dict, models, primitive, text, number, nothing, nothing_at_all, unchecked,
            unchecked_model, unchecked_data, data, rooted, mapping, moments, union, anything, literal, raw,
            json_response, plain_response, redirect, sets, sets_and_returns,
        )
    ],
    (model, {"response_model_exclude_unset": True}),
    (models, {"response_model_exclude_none": True}),
    (model, {"response_model_exclude_defaults": True, "response_model_by_alias": False}),
    (model, {"response_model_include": {"title"}}),
    (model, {"response_model_exclude": {"parts": {0: {"name"}}}}),
    (unchecked, {"response_model": dict[str, Any]}),
    (model, {"response_model": Short}),
    (model, {"response_model": None}),
    (primitive, {"status_code": 201}),
    (sets, {"status_code": 201}),
    (nothing, {"status_code": 204}),
    (page, {"response_class": HTMLResponse}),
    (page, {"response_class": PlainTextResponse, "status_code": 202}),
    (model, {"response_class": JSONResponse}),
    (url, {"response_class": RedirectResponse}),
]  # fmt: skip


def rendered(function, keywords, tmp_path, *, value=None):
    options = {name.removeprefix("response_model_"): given for name, given in keywords.items()}
    binding = bind(function, executor="thread", options=ResultOptions(**options))
    response = Response()
    del response.headers["content-length"]
    response.status_code = None
    arguments = {parameter.name: response for parameter in binding.plan.parameters}
    found = function(**arguments) if value is None else value
    return binding.render(found, arguments, staging=lambda: tmp_path / "staging")


@pytest.mark.parametrize(("function", "keywords"), CASES, ids=[f"{f.__name__} {sorted(k)}" for f, k in CASES])
def test_results_are_what_fastapi_would_send(function, keywords, tmp_path) -> None:
    """Status, media type, headers and bytes equal those of a plain endpoint; cookies are left out."""
    app = FastAPI()
    app.add_api_route("/", function, **keywords)
    plain = TestClient(app).get("/", follow_redirects=False)
    returned = rendered(function, keywords, tmp_path)
    assert returned.body == plain.content
    assert returned.status_code == plain.status_code
    assert returned.media_type == plain.headers.get("content-type")
    dropped = {"content-length", "content-type", "set-cookie"}
    assert sorted(returned.headers) == sorted((k, v) for k, v in plain.headers.items() if k not in dropped)


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (model, {"note": "s3cret"}, r"^response\.title: Field required$"),
        (models, [{"title": "a"}, {"title": ["s3cret"]}], r"^response\.1\.title: Input should be a valid string$"),
        (primitive, "s3cret", r"^response: Input should be a valid integer, unable to parse string as an integer$"),
        (primitive, Report(title="s3cret"), "valid integer"),
        (unchecked, float("nan"), "a float, cannot be rendered"),
        (raw, StreamingResponse(iter([b"a"])), "StreamingResponse cannot be stored; .*op.emit"),
        (raw, Response(b"", background=BackgroundTask(print)), "background task"),
        (raw, FileResponse("/does/not/exist"), "not a readable file"),
        (raw, FileResponse("/tmp"), "not a readable file"),
    ],
)
def test_a_result_that_does_not_match_is_refused_without_its_values(function, value, text, tmp_path) -> None:
    """The text tells places and rules, for it reaches the client."""
    with pytest.raises(ResultMismatch, match=text) as caught:
        rendered(function, {}, tmp_path, value=value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "body", [b"{broken", b"NaN", '"ü"'.encode("latin-1"), b'{"a": 1} {"b": 2}', b"[" * 10_000 + b"]" * 10_000]
)
def test_json_that_is_none_goes_out_as_it_is_and_nowhere_else(body, tmp_path) -> None:
    """As a file it never becomes part of the operation's own JSON, nor of an event."""
    answer = Response(body, 203, media_type="application/vnd.shop+json")
    returned = rendered(raw, {}, tmp_path / "staging", value=answer)
    assert returned.body is None
    assert returned.file.read_bytes() == body
    assert (returned.status_code, returned.media_type) == (203, "application/vnd.shop+json")


@pytest.mark.parametrize(
    "answer",
    [
        Response(b'{\n "a": 1}', media_type="application/json"),
        Response(b"", 204, media_type="application/json"),
        Response(b"{broken", media_type="text/plain"),
    ],
)
def test_other_answers_stay_in_the_record(answer, tmp_path) -> None:
    """JSON, no body, and what does not call itself JSON."""
    returned = rendered(raw, {}, tmp_path, value=answer)
    assert (returned.file, returned.body) == (None, answer.body)


def test_a_returned_file_is_copied(tmp_path) -> None:
    """The copy outlives a temporary folder and a next run that writes to the same path."""
    source = tmp_path / "report.csv"
    source.write_bytes(b"a;b\n" * 100_000)
    answer = FileResponse(source, filename="größe.csv", headers={"X-A": "1"}, stat_result=source.stat())
    binding = bind(raw, executor="thread")
    assert binding.render_blocks(answer)
    returned = binding.render(answer, {}, staging=lambda: tmp_path / "a" / "staging")
    source.write_bytes(b"overwritten")
    assert returned.body is None
    assert returned.file.read_bytes() == b"a;b\n" * 100_000
    assert returned.media_type.startswith("text/csv")
    assert dict(returned.headers) == {
        "x-a": "1",
        "content-disposition": "attachment; filename*=utf-8''gr%C3%B6%C3%9Fe.csv",
    }


def test_a_path_through_file_response_class(tmp_path) -> None:
    """``response_class=FileResponse`` with a returned path works, and blocks."""
    source = tmp_path / "x.txt"
    source.write_text("x")

    def path() -> str:
        return str(source)

    binding = bind(path, executor="thread", options=ResultOptions(response_class=FileResponse))
    assert binding.render_blocks(path())
    assert binding.render(path(), {}, staging=lambda: tmp_path / "s").file.read_text() == "x"


def test_ordinary_values_do_not_block() -> None:
    """Values in memory are rendered where they are."""
    binding = bind(model, executor="thread")
    assert not binding.render_blocks(model())
    assert not binding.render_blocks(raw())


def test_an_http_exception_explains_itself() -> None:
    """Status, any JSON detail and headers are kept; cookies are not."""
    error = HTTPException(404, {"missing": [UUID(int=1)]}, {"X-A": "1", "Set-Cookie": "a=b", "Connection": "x"})
    problem = bind(model, executor="thread").explain(error)
    assert (problem.code, problem.title, problem.status) == ("http-error", "Not Found", 404)
    assert json.loads(problem.http_detail) == {"missing": [str(UUID(int=1))]}
    assert problem.headers == (("X-A", "1"),)
    assert bind(model, executor="thread").explain(HTTPException(499, "gone")).title == "HTTP status 499"


def test_operation_failed_explains_itself() -> None:
    """Its own fields are the problem."""
    error = OperationFailed(code="no-paper", title="Out of paper", status=503, detail="tray 2", extensions={"tray": 2})
    problem = bind(model, executor="thread").explain(error)
    assert (problem.code, problem.title, problem.status, problem.detail) == ("no-paper", "Out of paper", 503, "tray 2")
    assert problem.extensions == {"tray": 2}


def test_a_failure_on_purpose_arrives_whatever_is_in_it() -> None:
    """Values of every kind are shown as JSON, or else as text; one that no store can write would lose the failure."""
    moment, odd = datetime(2026, 1, 31, tzinfo=UTC), object()
    extensions = {"at": moment, "who": UUID(int=1), "sum": Decimal("1.5"), "nan": float("nan"), "odd": odd, 7: {"a": 1}}
    error = OperationFailed(code="no-paper", detail=ValueError("tray 2"), extensions=extensions)
    problem = bind(model, executor="thread").explain(error)
    assert problem.detail == "tray 2"
    assert problem.extensions == {
        "at": "2026-01-31T00:00:00Z",
        "who": str(UUID(int=1)),
        "sum": "1.5",
        "nan": None,
        "odd": str(odd),
        "7": {"a": 1},
    }
    json.dumps(asdict(problem), allow_nan=False)
    nan = bind(model, executor="thread").explain(HTTPException(400, {"share": float("nan")}))
    assert json.loads(nan.http_detail) == "Bad Request"


def test_other_exceptions_are_not_explained() -> None:
    """What was not raised on purpose stays unexplained."""
    assert bind(model, executor="thread").explain(ValueError("x")) is None
