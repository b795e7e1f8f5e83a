"""What a function may declare, and what is refused with a name, a reason and a remedy."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from fastapi import (
    BackgroundTasks,
    Cookie,
    Depends,
    FastAPI,
    Header,
    Query,
    Request,
    Response,
    Security,
    UploadFile,
    WebSocket,
)
from fastapi.responses import EventSourceResponse, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, OAuth2PasswordBearer, SecurityScopes
from pydantic import BaseModel, ConfigDict, Field, Secret, SecretStr
from starlette.requests import HTTPConnection

from raincheck.context import OperationContext
from raincheck.core.errors import DefinitionError
from raincheck.fastapi.binding import bind
from raincheck.fastapi.rendering import ResultOptions
from raincheck.fastapi.signature import Role, analyse
from raincheck.fastapi.worker_depends import WorkerDepends

if TYPE_CHECKING:
    from decimal import Decimal as Hidden

    from raincheck.context import OperationContext as OnlyForTypes
    from raincheck.fastapi.worker_depends import WorkerDepends as Lazy  # noqa: F401


class Session: ...


class Holder(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    session: Session


class Excluding(BaseModel):
    a: int = 1
    b: int = Field(2, exclude=True)


class Secretive(BaseModel):
    inner: list[dict[str, SecretStr]]


@dataclass
class SecretData:
    token: Secret[int] | None = None


class Attached(BaseModel):
    files: list[UploadFile]


class Authorizing(BaseModel):
    proxy_authorization: str = ""


def session() -> Session:
    return Session()


def closing():
    yield 1


async def closing_later():
    yield 1


def untyped():
    return 1


def hidden_type() -> Hidden:
    return 1


bearer = OAuth2PasswordBearer(tokenUrl="token")


def generator():
    yield 1


async def async_generator(op: OperationContext):
    yield 1


def takes_request(request: Request): ...
def takes_connection(connection: HTTPConnection): ...
def takes_socket(socket: WebSocket | None = None): ...
def takes_tasks(tasks: BackgroundTasks): ...
def takes_scopes(scopes: SecurityScopes): ...
def takes_cookie(session_id: Annotated[str, Cookie()]): ...
def takes_cookie_default(session_id: str = Cookie("")): ...
def takes_authorization(authorization: Annotated[str, Header()]): ...
def takes_alias(token: Annotated[str, Header(alias="Proxy-Authorization")]): ...
def takes_header_model(headers: Annotated[Authorizing, Header()]): ...
def takes_args(*names: str): ...
def takes_keywords(**names: str): ...
def takes_position(a: int, /): ...
def takes_unknown(a: int, b: Hidden): ...
def takes_session(db: Annotated[Session, Depends(session)]): ...
def takes_session_default(db=Depends(session)): ...
def takes_untyped(value=Depends(untyped)): ...
def takes_any(value: Annotated[Any, Depends(untyped)]): ...
def takes_generator(value: Annotated[int, Depends(closing)]): ...
def takes_async_generator(value: Annotated[int, Depends(closing_later)]): ...
def takes_holder(value: Annotated[Holder, Depends(untyped)]): ...
def takes_excluding(value: Annotated[list[Excluding], Depends(untyped)]): ...
def takes_secretive(value: Annotated[Secretive | None, Depends(untyped)]): ...
def takes_secret_data(value: Annotated[SecretData, Depends(untyped)]): ...
def takes_attached(value: Annotated[Attached, Depends(untyped)]): ...
def takes_upload(value: Annotated[UploadFile, Depends(untyped)]): ...
def takes_scheme(token: Annotated[str, Depends(bearer)]): ...
def takes_security(token: Annotated[str, Security(bearer, scopes=["a"])]): ...
def takes_credentials(value: Annotated[HTTPAuthorizationCredentials, Depends(untyped)]): ...
def takes_hidden_return(value=Depends(hidden_type)): ...
def takes_both(value: Annotated[int, Depends(untyped), WorkerDepends(untyped)]): ...
def takes_both_default(value: Annotated[int, Query()] = WorkerDepends(untyped)): ...
def returns_session() -> Session: ...
def returns_union() -> Response | dict[str, int]: ...
def returns_hidden() -> Hidden: ...
def wants_request(request: Request) -> int: ...
def takes_worker_request(value: Annotated[int, WorkerDepends(wants_request)]): ...
def wants_query(q: Annotated[str, Query()] = "") -> int: ...
def takes_worker_query(value: Annotated[int, WorkerDepends(wants_query)]): ...
def wants_app(app: FastAPI) -> int: ...
def takes_worker_app(value: Annotated[int, WorkerDepends(wants_app)]): ...
def wants_scheme(token: Annotated[str, Depends(bearer)]) -> int: ...
def takes_worker_scheme(value: Annotated[int, WorkerDepends(wants_scheme)]): ...


async def inner_async(): ...


@functools.wraps(inner_async)
def sync_wrapper():
    return inner_async()


REFUSALS = [
    (takes_request, "request", "is the request itself", "Declare the values"),
    (takes_connection, "connection", "is the request itself", "Declare the values"),
    (takes_socket, "socket", "is the request itself", "Declare the values"),
    (takes_tasks, "tasks", "background tasks", "Do the work in the function"),
    (takes_scopes, "scopes", "security scopes", "Security"),
    (takes_cookie, "session_id", "cookies are never stored", "Depends"),
    (takes_cookie_default, "session_id", "cookies are never stored", "Depends"),
    (takes_authorization, "authorization", "header 'authorization', which is never stored", "Depends"),
    (takes_alias, "token", "header 'proxy-authorization'", "Depends"),
    (takes_header_model, "headers", "header 'proxy-authorization'", "Depends"),
    (takes_args, "names", "collects arguments", "Declare each"),
    (takes_keywords, "names", "collects arguments", "Declare each"),
    (takes_position, "a", "positional-only", "Remove the `/`"),
    (takes_unknown, "b", "'Hidden' cannot be evaluated (NameError", "TYPE_CHECKING"),
    (takes_session, "db", "cannot be stored as JSON", "WorkerDepends(...)"),
    (takes_session_default, "db", "cannot be stored as JSON", "WorkerDepends(...)"),
    (takes_untyped, "value", "has no type", "WorkerDepends(...)"),
    (takes_any, "value", "has no type", "WorkerDepends(...)"),
    (takes_generator, "value", "`yield` dependency", "WorkerDepends(...)"),
    (takes_async_generator, "value", "`yield` dependency", "WorkerDepends(...)"),
    (takes_holder, "value", "cannot be stored as JSON", "WorkerDepends(...)"),
    (takes_excluding, "value", "field 'b' that dumps leave out", "WorkerDepends(...)"),
    (takes_secretive, "value", "secret (SecretStr)", "WorkerDepends(...)"),
    (takes_secret_data, "value", "secret (Secret", "WorkerDepends(...)"),
    (takes_attached, "value", "uploaded file", "WorkerDepends(...)"),
    (takes_upload, "value", "uploaded file", "WorkerDepends(...)"),
    (takes_scheme, "token", "credentials of OAuth2PasswordBearer", "WorkerDepends(...)"),
    (takes_security, "token", "credentials of OAuth2PasswordBearer", "WorkerDepends(...)"),
    (takes_credentials, "value", "secret (HTTPAuthorizationCredentials)", "WorkerDepends(...)"),
    (takes_hidden_return, "value", "'Hidden' cannot be evaluated", "Annotate the parameter itself"),
    (takes_both, "value", "beside another mark", "Keep the one"),
    (takes_both_default, "value", "beside another mark", "Keep the one"),
    (takes_worker_request, "request", "wants_request", "OperationContext"),
    (takes_worker_query, "q", "part of a request", "as its own parameter"),
    (takes_worker_app, "app", "does not run in the child process", "executor='thread'"),
    (takes_worker_scheme, "request", "OAuth2PasswordBearer", "OperationContext"),
]


@pytest.mark.parametrize(
    ("function", "parameter", "reason", "remedy"), REFUSALS, ids=[row[0].__name__ for row in REFUSALS]
)
def test_a_parameter_is_refused_with_its_name_and_a_remedy(function, parameter, reason, remedy) -> None:
    """The error names the function, the parameter, why, and what to do instead."""
    with pytest.raises(DefinitionError) as caught:
        bind(function, executor="process")
    text = str(caught.value)
    assert text.startswith(f"{__name__}.{function.__name__}: ")
    assert f"parameter {parameter!r}" in text
    assert reason in text
    assert remedy in text


@pytest.mark.parametrize(
    ("function", "options", "reason"),
    [
        (generator, {}, "generator function.*op.emit"),
        (async_generator, {}, "async generator function.*op.emit"),
        (lambda: 1, {}, "no name"),
        (functools.partial(untyped), {}, "no name"),
        (Session, {}, "not a function"),
        (sync_wrapper, {}, "sync wrapper around an async function"),
        (returns_session, {}, "returns_session: results of the type.*response_model="),
        (returns_union, {}, "returns_union.*response_model=None"),
        (returns_hidden, {}, "returns_hidden: return type.*'Hidden' cannot be evaluated.*response_model="),
        (untyped, {"response_class": StreamingResponse}, "op.emit"),
        (untyped, {"response_class": EventSourceResponse}, "op.emit"),
        (untyped, {"response_model": Session}, "untyped: results of the type"),
        (untyped, {"response_model": int, "status_code": 204}, "status 204 has no body"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_function_or_its_result_is_refused(function, options, reason) -> None:
    """What cannot run as an operation, or whose result cannot be rendered, fails when it is decorated."""
    with pytest.raises(DefinitionError, match=f"(?s){reason}"):
        bind(function, executor="thread", options=ResultOptions(**options))


def ordinary(
    q: str,
    op: OnlyForTypes,
    response: Response,
    user: Annotated[dict[str, int], Depends(untyped)],
    later: Annotated[Session, WorkerDepends(session)],
    limit: Annotated[int, Query(gt=0)] = 5,
    db: Session = WorkerDepends(session),  # noqa: B008
    maybe: OperationContext | None = None,
) -> Annotated[dict[str, int], "note"]:
    """Say what it does."""


def qualified(op: raincheck.OperationContext, by_name: OperationContext) -> None: ...  # noqa: F821


def test_each_parameter_has_its_role() -> None:
    """Roles follow types and marks; a context imported for types only is known by its name."""
    # The alias of the import is unknown at run time, so the test gives the name that users would import.
    ordinary.__annotations__["op"] = "OperationContext"
    plan = analyse(ordinary, executor="process")
    assert {p.name: p.role for p in plan.parameters} == {
        "q": Role.FIELD,
        "op": Role.CONTEXT,
        "response": Role.RESPONSE,
        "user": Role.DEPENDS,
        "later": Role.WORKER,
        "limit": Role.FIELD,
        "db": Role.WORKER,
        "maybe": Role.CONTEXT,
    }


def test_the_context_is_known_without_an_import(monkeypatch) -> None:
    """``if TYPE_CHECKING: from raincheck import OperationContext`` is enough."""
    monkeypatch.delitem(globals(), "OperationContext")
    monkeypatch.setattr("raincheck.OperationContext", OperationContextType, raising=False)
    plan = analyse(qualified, executor="async")
    assert [p.role for p in plan.parameters] == [Role.CONTEXT, Role.CONTEXT]


OperationContextType = OperationContext


def test_the_request_signature_keeps_order_annotations_and_defaults() -> None:
    """What FastAPI sees is keyword-only, evaluated, in order, with the extra parameters last."""
    ordinary.__annotations__["op"] = "OperationContext"
    plan = analyse(ordinary, executor="thread")
    extra = inspect.Parameter("raincheck_request", inspect.Parameter.KEYWORD_ONLY, annotation=Request)
    signature = plan.request_signature([extra])
    assert list(signature.parameters) == ["q", "user", "limit", "raincheck_request"]
    assert signature.parameters["limit"].default == 5
    assert signature.parameters["limit"].annotation.__metadata__[0].metadata
    assert {p.kind for p in signature.parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}


def test_an_endpoint_is_dressed_without_a_way_back() -> None:
    """Name, docs and signature are the function's; ``__wrapped__`` would lead FastAPI past the endpoint."""
    ordinary.__annotations__["op"] = "OperationContext"

    async def endpoint(**values): ...

    dressed = analyse(ordinary, executor="thread").dress(endpoint)
    assert (dressed.__name__, dressed.__module__, dressed.__doc__) == ("ordinary", __name__, "Say what it does.")
    assert not hasattr(dressed, "__wrapped__")
    assert "q" in inspect.signature(dressed).parameters


def test_a_reserved_name_is_refused() -> None:
    """A parameter named like one of the route's own is named in the error."""
    extra = inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY)

    def uses(request: int): ...

    with pytest.raises(DefinitionError, match="name 'request' is reserved"):
        analyse(uses, executor="thread").request_signature([extra])


def test_worker_depends_takes_callables_only() -> None:
    """A value instead of a function is refused at once."""
    with pytest.raises(DefinitionError, match="needs a callable"):
        WorkerDepends(session())


def test_the_result_model_is_the_annotation_unless_given() -> None:
    """``response_model`` wins; a Response or None means no check."""

    def number() -> int: ...
    def answer() -> StreamingResponse: ...
    def nothing() -> None: ...

    assert bind(number, executor="thread").result_model is int
    assert bind(number, executor="thread", options=ResultOptions(response_model=float)).result_model is float
    assert bind(number, executor="thread", options=ResultOptions(response_model=None)).result_model is None
    assert bind(answer, executor="thread").result_model is None
    assert bind(nothing, executor="thread").result_model is None
