"""What an application or a router says once for all of its routes counts for operations too."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.testclient import TestClient

from raincheck import DefinitionError, Raincheck

WAIT = {"Prefer": "wait=10"}


def in_german(route) -> str:
    """Return an operationId of the application's own making."""
    return f"{route.name}_ausfuehren"


def on_the_application(**said):
    """Return an application that says it, and what decorates."""
    app = FastAPI(**said)
    rain = Raincheck(app, store="memory:")
    return app, rain, lambda: None


def on_the_router(**said):
    """Return an application with a router that says it, and what decorates."""
    app = FastAPI()
    rain = Raincheck(app, store="memory:")
    router = rain.router(prefix="/feature", **said)
    return app, router, lambda: app.include_router(router)


PLACES = {on_the_application: "", on_the_router: "/feature"}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
class TestDefaults:
    """Once for all routes."""

    def test_the_default_response_class_renders_results(self, place, tmp_path):
        """As on ordinary routes, and the document says so; a decorator's class and a returned response outrank it."""
        app, target, include = place(default_response_class=PlainTextResponse)
        file = Path(tmp_path) / "a.csv"
        file.write_text("1,2")

        @target.post("/plain")
        async def plain() -> str:
            return "text"

        @target.post("/page", response_class=HTMLResponse)
        async def page() -> str:
            return "<p>"

        @target.post("/file")
        async def export() -> FileResponse:
            return FileResponse(file, media_type="text/csv")

        include()
        with TestClient(app) as client:
            answers = {name: client.post(f"{PLACES[place]}/{name}", headers=WAIT) for name in ("plain", "page", "file")}
            paths = client.get("/openapi.json").json()["paths"]
        assert {name: answer.text for name, answer in answers.items()} == {
            "plain": "text",
            "page": "<p>",
            "file": "1,2",
        }
        types = {name: answer.headers["content-type"].partition(";")[0] for name, answer in answers.items()}
        assert types == {"plain": "text/plain", "page": "text/html", "file": "text/csv"}
        documented = {
            path.rpartition("/")[2]: [*methods["post"]["responses"]["200"]["content"]]
            for path, methods in paths.items()
            if "operations" not in path
        }
        assert documented == {"plain": ["text/plain"], "page": ["text/html"], "file": ["*/*"]}

    def test_ids_are_made_as_the_application_makes_them(self, place):
        """Instead of the kind's name, unless the decorator gives one."""
        app, target, include = place(generate_unique_id_function=in_german)

        @target.post("/plain")
        async def plain() -> str:
            return "text"

        @target.post("/named", operation_id="itsOwn")
        async def named() -> str:
            return "text"

        include()
        paths = app.openapi()["paths"]
        assert paths[f"{PLACES[place]}/plain"]["post"]["operationId"] == "plain_ausfuehren"
        assert paths[f"{PLACES[place]}/named"]["post"]["operationId"] == "itsOwn"
        assert paths["/operations/{operation_id}"]["get"]["operationId"] == "getOperation"

    @pytest.mark.parametrize("thing", [3, dict, lambda: None], ids=["number", "class", "lambda"])
    def test_what_is_no_function_is_still_refused_in_our_words(self, place, thing):
        """A default is looked for before the function is looked at."""
        _, target, _ = place(default_response_class=PlainTextResponse)
        with pytest.raises(DefinitionError, match="Decorate a"):
            target.post("/x")(thing)


def remembering(done: list[str]):
    """Return a dependency that does something after the answer."""

    def remember(tasks: BackgroundTasks, response: Response) -> None:
        tasks.add_task(done.append, "after the answer")
        response.headers["X-Remembered"] = "yes"

    return remember


@pytest.mark.parametrize("headers", [{}, WAIT, {"Accept": "text/event-stream"}], ids=["202", "wait", "stream"])
def test_background_tasks_of_dependencies_run_whatever_the_answer_is(headers):
    """FastAPI runs them after the answer; that of a stream is over when the stream is."""
    done: list[str] = []
    app = FastAPI()
    rain = Raincheck(app, store="memory:", dependencies=[Depends(lambda: None)])

    @rain.post("/work", dependencies=[Depends(remembering(done))])
    async def work() -> str:
        return "done"

    with TestClient(app) as client:
        answer = client.post("/work", headers=headers)
        assert answer.headers["x-remembered"] == "yes"
        assert done == ["after the answer"]


def test_a_function_that_varies_by_a_header_says_so_beside_prefer():
    """A cache must know both; the result's own route gives back what the function said."""
    app = FastAPI()
    rain = Raincheck(app, store="memory:")

    @rain.post("/work")
    async def work(response: Response) -> str:
        response.headers["Vary"] = "Accept-Language"
        return "done"

    with TestClient(app) as client:
        answer = client.post("/work", headers=WAIT)
        assert answer.headers["vary"] == "Accept-Language, Prefer"
        result = client.get(f"/operations/{answer.headers['operation-id']}/result")
        assert result.headers["vary"] == "Accept-Language"


def test_what_an_answer_says_of_its_operation_is_never_the_functions_own():
    """Headers of the protocol come once, with what holds of this request, whatever the function sets."""
    app = FastAPI()
    rain = Raincheck(app, store="memory:")
    claimed = {"Preference-Applied": "wait=9", "Idempotency-Replayed": "no", "Operation-Id": "op", "ETag": '"mine"'}

    @rain.post("/work", status_code=204, response_model=None)
    async def work(response: Response) -> None:
        response.headers.update(claimed)

    def said(answer):
        assert (answer.status_code, answer.content) == (204, b"")
        names = (*claimed, "Operation-Status", "Content-Length")
        return {name.lower(): value for name in names for value in answer.headers.get_list(name, split_commas=True)}

    with TestClient(app) as client:
        first = said(client.post("/work", headers=WAIT | {"Idempotency-Key": "k"}))
        again = said(client.post("/work", headers=WAIT | {"Idempotency-Key": "k"}))
        result = said(client.get(f"/operations/{first['operation-id']}/result"))
    assert result.keys() == {"operation-id", "operation-status", "etag"}
    assert (result["operation-status"], len(result["operation-id"])) == ("succeeded", 35)
    assert result["etag"] != claimed["ETag"]
    assert first == result | {"preference-applied": WAIT["Prefer"]}
    assert again == first | {"idempotency-replayed": "true"}


def test_a_handler_of_the_application_finds_the_operation_in_the_exceptions_headers():
    """By the name that the docs give it, and once: what the function says of the protocol does not count."""
    app = FastAPI()
    rain = Raincheck(app, store="memory:")

    @app.exception_handler(HTTPException)
    def quoted(_, error):
        return JSONResponse(dict(error.headers), error.status_code)

    @rain.post("/work")
    async def work() -> int:
        raise HTTPException(404, headers={"Cache-Control": "max-age=5", "X-Own": "1"})

    with TestClient(app) as client:
        answer = client.post("/work", headers=WAIT)
        assert answer.json() == {
            "X-Own": "1",
            "Operation-Id": answer.headers["operation-id"],
            "Operation-Status": "failed",
            "Cache-Control": "no-store",
        }
