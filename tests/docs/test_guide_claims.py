"""What the guide says in prose and tables, beside what its programs prove."""

import logging
import re
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Cookie, Depends, FastAPI, Header, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, StreamingResponse
from fastapi.security import OAuth2PasswordBearer, SecurityScopes
from fastapi.testclient import TestClient
from pydantic import BaseModel

from raincheck import DefinitionError, Raincheck, Retry, Settings
from tests.docs.pages import GUIDE, PAGES, README

TEXT = GUIDE.read_text(encoding="utf-8")
WAIT = {"Prefer": "wait=10"}


class User(BaseModel):
    name: str


class Session:
    pass


def current_user() -> User:
    return User(name="ada")


def open_session():
    yield Session()


NAMES = {
    "Annotated": Annotated, "Any": Any, "BackgroundTasks": BackgroundTasks, "Cookie": Cookie, "Depends": Depends,
    "Header": Header, "OAuth2PasswordBearer": OAuth2PasswordBearer, "Request": Request, "Session": Session,
    "SecurityScopes": SecurityScopes, "User": User, "current_user": current_user, "open_session": open_session,
}  # fmt: skip


def rows(heading):
    """Return the cells of the rows of the table below a heading row."""
    lines = TEXT[TEXT.index(heading) :].splitlines()[2:]
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found


REFUSED = [cells[0].strip("`") for cells in rows("| refused parameter | instead |")]


@pytest.fixture
def rain():
    app = FastAPI()
    return Raincheck(app, store="memory:")


def application(**settings):
    app = FastAPI()
    return app, Raincheck(app, settings=Settings(store="memory:", **settings))


@pytest.mark.parametrize("parameter", REFUSED)
def test_a_parameter_of_the_refused_table_is_refused(rain, parameter):
    """The decorator says so, names the parameter, and what to do instead."""
    names = dict(NAMES)
    exec(f"def work({parameter}) -> None: ...", names)
    with pytest.raises(DefinitionError, match=re.escape(repr(parameter.lstrip("*").partition(":")[0]))) as refused:
        rain.post("/work")(names["work"])
    assert str(refused.value).rstrip().endswith(".")


def test_what_the_refused_table_recommends_is_taken(rain):
    """A dependency may read what an operation may not."""

    def user(session: Annotated[str, Cookie()] = "", authorization: Annotated[str, Header()] = "") -> User:
        return User(name=session + authorization)

    @rain.post("/work")
    def work(user: Annotated[User, Depends(user)]) -> str:
        return user.name

    with TestClient(rain._app) as client:
        assert client.post("/work", headers=WAIT | {"Authorization": "me"}).json() == "me"


def test_generators_lambdas_and_bound_methods_are_refused(rain):
    """One result, one durable name, no state of an object; and nothing is left registered."""

    def parts():
        yield 1

    class Shop:
        def work(self) -> None: ...

    for function in (parts, lambda: None, Shop().work):
        with pytest.raises(DefinitionError):
            rain.post("/work")(function)
    assert rain.kinds == {}


def test_a_process_function_that_no_child_could_import_is_refused(rain):
    """The message says where to move it."""

    def inner() -> None: ...

    with pytest.raises(DefinitionError, match="move it to the top of its module"):
        rain.post("/work", executor="process")(inner)


FACTORY = """
from fastapi import FastAPI
from raincheck import Raincheck

rain = Raincheck(store="memory:")
router = rain.router()

@router.post("/double", executor="process")
def double(number: int) -> int:
    return 2 * number

def create_app() -> FastAPI:
    app = FastAPI()
    app.include_router(router)
    rain.install(app)
    return app
"""


def test_an_application_factory_includes_a_router_whose_functions_children_find(tmp_path, monkeypatch):
    """A child imports the module and calls no factory, so what is decorated at import is what it finds."""
    (tmp_path / "made_by_a_factory.py").write_text(FACTORY)
    monkeypatch.syspath_prepend(tmp_path)
    import made_by_a_factory

    with TestClient(made_by_a_factory.create_app()) as client:
        assert client.post("/double?number=21", headers=WAIT).json() == 42


def test_a_guarded_submit_with_open_operation_routes_warns_at_start(caplog):
    """Unless Raincheck has dependencies or an owner of its own."""

    def guard() -> str:
        return "somebody"

    warned = {}
    for name, options in {"open": {}, "guarded": {"dependencies": [Depends(guard)]}, "owned": {"owner": guard}}.items():
        app = FastAPI()
        rain = Raincheck(app, store="memory:", **options)

        @rain.post("/work", dependencies=[Depends(guard)])
        async def work() -> None: ...

        caplog.clear()
        with caplog.at_level(logging.WARNING, "raincheck"), TestClient(app):
            warned[name] = "whoever learns an id" in caplog.text
    assert warned == {"open": True, "guarded": False, "owned": False}


def test_the_guard_of_a_router_is_seen_too():
    """Also where the decorator names none."""
    rain = Raincheck(store="memory:")
    guarded = rain.router(prefix="/shop", dependencies=[Depends(current_user)])

    @guarded.post("/work")
    async def work() -> None: ...

    (found,) = rain.unguarded
    assert found.endswith("work (/shop/work)")


def by_scheme(token: Annotated[str, Depends(OAuth2PasswordBearer("token"))]) -> str:
    return token


def by_header(authorization: Annotated[str, Header()] = "") -> str:
    return authorization


def by_cookie(session: Annotated[str, Cookie()] = "") -> str:
    return session


def by_another(user: Annotated[str, Depends(by_header)]) -> str:
    return user


def by_page(page: int = 1, x_tone: Annotated[str, Header()] = "") -> str:
    return f"{page} {x_tone}"


@pytest.mark.parametrize(
    ("dependency", "seen"),
    [(by_scheme, True), (by_header, True), (by_cookie, True), (by_another, True), (by_page, False)],
)
def test_a_parameter_that_reads_credentials_is_a_guard(dependency, seen):
    """However deep; one that reads anything else is none."""
    rain = Raincheck(store="memory:")

    async def work(given: Annotated[str, Depends(dependency)]) -> None: ...

    rain.router(prefix="/shop").post("/work")(work)
    assert bool(rain.unguarded) is seen


def test_a_catch_all_route_comes_after_install():
    """Before it, it would answer for the operations."""
    found = {}
    for order in ("before", "after"):
        app = FastAPI()
        rain = Raincheck(store="memory:")

        def everything(path: str) -> str:
            return "page"

        if order == "before":
            app.get("/{path:path}")(everything)
        rain.install(app)
        if order == "after":
            app.get("/{path:path}")(everything)
        with TestClient(app) as client:
            found[order] = client.get("/operations/unknown").status_code
    assert found == {"before": 200, "after": 404}


def test_routers_may_be_included_after_install():
    """The order does not matter: the operation runs either way."""
    app = FastAPI()
    rain = Raincheck(store="memory:")
    router = rain.router()

    @router.post("/work")
    async def work() -> str:
        return "done"

    rain.install(app)
    app.include_router(router)
    with TestClient(app) as client:
        assert client.post("/work", headers=WAIT).json() == "done"


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (PlainTextResponse("text", headers={"X-Width": "640"}), ("text/plain; charset=utf-8", "640")),
        (RedirectResponse("/there", headers={"Set-Cookie": "a=b"}), (None, None)),
    ],
)
def test_responses_are_replayed_without_cookies(rain, returned, expected):
    """Media type, status and headers are those of the function."""

    @rain.post("/work", response_model=None)
    async def work():
        return returned

    with TestClient(rain._app, follow_redirects=False) as client:
        answer = client.post("/work", headers=WAIT)
    assert answer.status_code == returned.status_code
    assert (answer.headers.get("content-type"), answer.headers.get("x-width")) == expected
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("value", [{"name": 1}, StreamingResponse(iter(["a"]))], ids=["another type", "a stream"])
def test_what_does_not_match_the_annotation_fails_and_is_not_retried(rain, value):
    """A wrong result stays wrong."""

    @rain.post("/work", response_model=User, retry=Retry(attempts=3))
    async def work():
        return value

    with TestClient(rain._app) as client:
        problem = client.post("/work", headers=WAIT).json()
        operation = client.get(f"/operations/{problem['operation_id']}").json()
    assert (problem["type"], operation["attempt"]) == ("urn:raincheck:problem:result-mismatch", 1)


def test_unexpected_errors_tell_clients_nothing_and_the_log_everything(rain, caplog):
    """What an exception says may be secret."""

    @rain.post("/work")
    async def work() -> None:
        raise ValueError("a password, perhaps")

    with TestClient(rain._app) as client:
        answer = client.post("/work", headers=WAIT)
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:raincheck:problem:unhandled-error")
    assert "password" not in answer.text
    assert "a password, perhaps" in caplog.text


def test_more_than_the_limits_is_refused():
    """A body over max_body, one waiting operation too many, a result over max_result."""
    app, rain = application(max_body="1KiB", max_queued=1, max_result=10)

    @rain.post("/work")
    async def work(text: str = "", body: list[int] | None = None) -> str:
        return text

    with TestClient(app) as client:
        assert client.post("/work", json=list(range(1000))).status_code == 413
        problem = client.post("/work?text=rain,+rain,+rain", headers=WAIT).json()
        assert problem["type"] == "urn:raincheck:problem:result-too-large"
        answers = [client.post("/work", headers={"Operation-Delay": "3600"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 429]
    assert int(answers[1].headers["retry-after"]) >= 1


def test_the_limits_table_tells_the_defaults():
    """They are those of Settings."""
    told = {
        found[1]: cells[1]
        for cells in rows("| limit | default |")
        if (found := re.search(r"`RAINCHECK_(\w+)`", cells[0]))
    }
    settings = Settings()
    assert told == {
        "MAX_QUEUED": f"{settings.max_queued:,}",
        "MAX_BODY": f"{settings.max_body >> 20} MiB",
        "MAX_RESULT": f"{settings.max_result >> 20} MiB",
    }


def test_retention_below_a_day_is_refused(rain):
    """Clients and idempotency keys rely on a day."""

    def work() -> None: ...

    with pytest.raises(DefinitionError, match="24 hours"):
        rain.post("/work", retention="1h")(work)


LINKS = [
    (page, target)
    for page in PAGES
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"(?s)```.*?```", "", page.read_text(encoding="utf-8")))
    if "://" not in target
]


@pytest.mark.parametrize(("page", "target"), LINKS, ids=lambda part: getattr(part, "stem", part))
def test_a_link_leads_somewhere(page, target):
    """The file is there, and so is its heading."""
    name, _, heading = target.partition("#")
    file = (page.parent / name).resolve() if name else page
    assert file.exists()
    if heading:
        headings = re.findall(r"(?m)^#+ (.*)$", file.read_text(encoding="utf-8"))
        assert heading in {re.sub(r"[^\w -]", "", found.lower()).replace(" ", "-") for found in headings}


def test_the_links_of_the_readme_are_among_them():
    """The search for links finds some."""
    assert (README, "docs/guide.md") in LINKS
