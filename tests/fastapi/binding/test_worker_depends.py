"""Dependencies that are made at the run: order, cache, clean-up, exceptions, overrides."""

from __future__ import annotations

import asyncio
import threading
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, HTTPException

from raincheck.context import OperationContext
from raincheck.core.errors import NotStarted
from raincheck.fastapi.binding import bind
from raincheck.fastapi.worker_depends import WorkerDepends
from tests.fastapi.binding.harness import run

pytestmark = pytest.mark.anyio
LOG: list[object] = []


@pytest.fixture(autouse=True)
def _empty_log():
    LOG.clear()


def settings(size: int = 3) -> dict[str, int]:
    LOG.append("settings")
    return {"size": size}


async def engine(found: Annotated[dict[str, int], WorkerDepends(settings)]):
    LOG.append("engine up")
    try:
        yield f"engine {found['size']}"
    except BaseException as error:
        LOG.append(f"engine saw {type(error).__name__}")
        raise
    finally:
        LOG.append("engine down")


def session(up: Annotated[str, WorkerDepends(engine)], again: Annotated[dict, WorkerDepends(settings)]):
    LOG.append(("session up", threading.current_thread() is threading.main_thread()))
    try:
        yield f"session of {up}"
        LOG.append("commit")
    except BaseException as error:
        LOG.append(f"session saw {type(error).__name__}")
        raise
    finally:
        LOG.append("session down")


class Service:
    def __init__(self, db: Annotated[str, Depends(session)], op: OperationContext, name: str = "svc") -> None:
        self.text = f"{name} {op.id[:3]} {db}"


class Caller:
    async def __call__(self) -> str:
        return "called"


def works(
    service: Annotated[Service, WorkerDepends(Service)],
    called: str = WorkerDepends(Caller()),
    db: str = WorkerDepends(session),
) -> str:
    LOG.append("function")
    return f"{service.text} | {called} | {db}"


async def test_dependencies_nest_run_once_and_clean_up_in_reverse() -> None:
    """Settings are read once; sync code is off the loop; clean-up runs after the function, last made first."""
    assert await run(bind(works, executor="thread")) == "svc op_ session of engine 3 | called | session of engine 3"
    assert LOG == [
        "settings",
        "engine up",
        ("session up", False),
        "function",
        "commit",
        "session down",
        "engine down",
    ]


async def fails(db: Annotated[str, WorkerDepends(session)]) -> None:
    raise KeyError


async def test_the_functions_exception_passes_through_the_dependencies() -> None:
    """A session sees the error in time to roll back, and the error stays what it was."""
    with pytest.raises(KeyError):
        await run(bind(fails, executor="async"))
    assert LOG[-4:] == ["session saw KeyError", "session down", "engine saw KeyError", "engine down"]


def swallowing():
    try:
        yield 1
    except KeyError:
        LOG.append("swallowed")


async def swallowing_async():
    try:
        yield 1
    except KeyError:
        LOG.append("swallowed")


@pytest.mark.parametrize("dependency", [swallowing, swallowing_async])
async def test_a_dependency_cannot_swallow_a_failure(dependency) -> None:
    """A forgotten ``raise`` must not turn a failure into a success."""

    async def failing(one: Annotated[int, WorkerDepends(dependency)]) -> None:
        raise KeyError

    failing.__annotations__ = {"one": Annotated[int, WorkerDepends(dependency)]}
    with pytest.raises(KeyError):
        await run(bind(failing, executor="async"))
    assert LOG == ["swallowed"]


def translating():
    try:
        yield 1
    except KeyError as error:
        raise HTTPException(404) from error


async def translated(one: Annotated[int, WorkerDepends(translating)]) -> None:
    raise KeyError


async def test_a_dependency_may_replace_an_exception() -> None:
    """As in FastAPI, a dependency may turn an error into an HTTPException."""
    with pytest.raises(HTTPException):
        await run(bind(translated, executor="async"))


class CommitFailed(Exception): ...


def failing_commit():
    yield 1
    raise CommitFailed


async def commits(one: Annotated[int, WorkerDepends(failing_commit)]) -> int:
    return one


async def test_a_clean_up_that_fails_is_heard() -> None:
    """A commit after the yield that fails must not look like a success."""
    with pytest.raises(CommitFailed):
        await run(bind(commits, executor="async"))


def counted() -> object:
    LOG.append("made")
    return object()


async def uncached(
    one: Annotated[object, WorkerDepends(counted)],
    two: Annotated[object, WorkerDepends(counted)],
    three: Annotated[object, WorkerDepends(counted, use_cache=False)],
) -> list[bool]:
    return [one is two, one is three]


async def test_use_cache_false_makes_a_new_value() -> None:
    """One value per run by default, and none is shared between runs."""
    binding = bind(uncached, executor="async", options=None)
    assert await run(binding) == [True, False]
    assert len(LOG) == 2
    await run(binding)
    assert len(LOG) == 4


async def test_dependency_overrides_of_the_application_apply() -> None:
    """Tests replace worker dependencies as they replace FastAPI's; the override has dependencies of its own."""
    app = FastAPI()
    binding = bind(works, executor="thread")

    def fake(found: Annotated[dict[str, int], WorkerDepends(settings)]) -> str:
        return f"fake {found['size']}"

    app.dependency_overrides[session] = fake
    assert await run(binding, app=app) == "svc op_ fake 3 | called | fake 3"


def title_of(app: FastAPI) -> str:
    return app.title


async def titled(title: Annotated[str, WorkerDepends(title_of)]) -> str:
    return title


async def test_a_dependency_may_take_the_application() -> None:
    """The running application is given; where none runs, the error says so."""
    binding = bind(titled, executor="async")
    assert await run(binding, app=FastAPI(title="here")) == "here"
    with pytest.raises(NotStarted):
        await run(binding)


async def test_the_run_gets_its_own_context_and_a_fresh_response() -> None:
    """Context and Response are this run's."""
    from starlette.responses import Response

    async def asks(op: OperationContext, response: Response) -> tuple[str, int]:
        return op.id, len(response.raw_headers)

    asks.__annotations__ = {"op": OperationContext, "response": Response}
    context = OperationContext(id="op_mine")
    assert await run(bind(asks, executor="async"), context=context) == ("op_mine", 0)


async def test_what_a_cancelled_run_opened_in_a_thread_is_closed() -> None:
    """A cancel while a thread opens something waits for it and closes it; a thread cannot be stopped half-way."""
    opening, go_on = threading.Event(), threading.Event()

    def slow():
        opening.set()
        go_on.wait(5)
        try:
            yield 1
        finally:
            LOG.append("closed")

    async def waits(one: int) -> None: ...

    waits.__annotations__ = {"one": Annotated[int, WorkerDepends(slow)]}
    task = asyncio.create_task(run(bind(waits, executor="async")))
    await asyncio.to_thread(opening.wait, 5)
    task.cancel()
    asyncio.get_running_loop().call_soon(go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert LOG == ["closed"]
