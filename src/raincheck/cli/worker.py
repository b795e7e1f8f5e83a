"""``raincheck worker``: the application's lifespan and its workers, without a web server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from typing import TYPE_CHECKING, Any

from raincheck.cli.ending import UsageError
from raincheck.cli.loading import load
from raincheck.cli.worker_http import watched
from raincheck.cli.worker_log import set_up, told
from raincheck.core.errors import ConfigurationError
from raincheck.locations import Memory, SqliteFile
from raincheck.settings import EXECUTORS

if TYPE_CHECKING:
    from types import FrameType

    from raincheck.raincheck import Raincheck

logger = logging.getLogger("raincheck.worker")
_EXIT_INTERRUPTED = 130


def run_worker(
    target: str,
    *,
    queues: str | None,
    executors: str | None,
    concurrency: str | None,
    health_host: str,
    health_port: int | None,
    as_json: bool,
) -> None:
    """Work until SIGTERM or SIGINT, then let running work finish for the drain time and hand the rest back.

    A second Ctrl-C ends the process at once; other workers take over what it held.

    :param concurrency: a number for each executor that works here, or such as ``async=200,process=4``.
    :param health_port: where probes and metrics are served; 0 chooses a free port, None serves none.
    :param as_json: log JSON lines to stdout, whatever logging the application has configured.
    :raises UsageError: the target, the queues, the executors or the concurrency cannot be used.
    :raises ConfigurationError: the application has nothing that a worker of its own could run.
    """
    if queues is not None and not queues.replace(",", " ").strip():
        msg = "--queues names no queue. Write --queues reports,default, or leave it away for all."
        raise UsageError(msg)
    chosen = _executors(executors)
    slots = {} if concurrency is None else _slots(concurrency, chosen)
    rain = load(target)
    _refuse_idle(rain, target)
    set_up(as_json=as_json)
    wanted = {"queues": queues, "executors": None if executors is None else ",".join(chosen), "slots": slots}
    asyncio.run(_work(rain, wanted, None if health_port is None else (health_host, health_port)))


def _executors(text: str | None) -> tuple[str, ...]:
    if text is None:
        return EXECUTORS
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names or set(names) - set(EXECUTORS):
        msg = f"--executors {text!r} cannot be used. Name some of {', '.join(EXECUTORS)}, separated by commas."
        raise UsageError(msg)
    return names


def _slots(text: str, executors: tuple[str, ...]) -> dict[str, int]:
    """Return how many operations each executor runs at once."""
    if text.isdecimal() and int(text) > 0:
        return dict.fromkeys(executors, int(text))
    slots: dict[str, int] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        if name.strip() not in executors or not number.strip().isdecimal() or int(number) < 1:
            msg = (
                f"--concurrency {text!r} cannot be used. Write a number from 1 on for all executors here, or one for "
                f"each, such as {executors[0]}=8."
            )
            raise UsageError(msg)
        slots[name.strip()] = int(number)
    return slots


def _refuse_idle(rain: Raincheck, target: str) -> None:
    if isinstance(rain.settings.location, Memory):
        msg = (
            "The store is memory:, which no other process can reach, so this worker would never see an operation. Use "
            "a file (RAINCHECK_STORE=sqlite:///raincheck.db), or run the work inside the server."
        )
        raise ConfigurationError(msg)
    if rain.engine is not None and not rain.engine.hosts_workers:
        msg = (
            f"The engine {rain.engine.name} has workers of its own, which run the operations: start those instead, "
            f"such as `celery --app {target.partition(':')[0]} worker` (docs/engines.md)."
        )
        raise ConfigurationError(msg)
    if not rain.kinds:
        msg = (
            f"{target} has no operations, so there is nothing to run. Name the module that imports all modules with "
            "decorated functions, which is usually the one that makes the FastAPI application."
        )
        raise ConfigurationError(msg)


async def _work(rain: Raincheck, wanted: dict[str, Any], address: tuple[str, int] | None) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    asked = False

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            os._exit(_EXIT_INTERRUPTED)
        asked = True
        loop.call_soon_threadsafe(stopping.set)

    # Plain handlers, set before the lifespan: Raincheck chains its own before them.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    async with contextlib.AsyncExitStack() as stack:
        if address is not None:  # before the lifespan, so that a slow start is alive and not ready
            host, port = address
            await stack.enter_async_context(watched(rain.watching_application(), host=host, port=port))
        await stack.enter_async_context(rain.working(**wanted))
        facts = _facts(rain)
        logger.info("working: %s", _description(facts), extra=told("working", **facts))
        await stopping.wait()
        seconds = rain.settings.drain.total_seconds()
        text = "stopping: what runs may go on for %g s; Ctrl-C once more ends at once"
        logger.info(text, seconds, extra=told("stopping", drain_seconds=seconds))
    logger.info("stopped", extra=told("stopped"))


def _facts(rain: Raincheck) -> dict[str, Any]:
    """Return what this worker works on; no queues means all."""
    settings = rain.settings
    names = settings.executor_names
    location = settings.location
    return {
        "store": str(location.path.absolute() if isinstance(location, SqliteFile) else location),
        "engine": "embedded" if rain.engine is None else rain.engine.name,
        "kinds": sorted(name for name, kind in rain.kinds.items() if kind.executor in names),
        "queues": list(settings.queue_names or ()),
        "slots": {name: getattr(settings, f"{name}_slots") for name in names},
        "pid": os.getpid(),
    }


def _description(facts: dict[str, Any]) -> str:
    kinds, queues = ", ".join(facts["kinds"]), ", ".join(facts["queues"] or ("all",))
    slots = ", ".join(f"{name} {number}" for name, number in facts["slots"].items())
    return f"store {facts['store']}; engine {facts['engine']}; kinds {kinds}; queues {queues}; slots {slots}"
