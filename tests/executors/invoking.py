"""Invocations of functions with keywords as JSON, and a binding that takes them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import json
from datetime import timedelta
from pathlib import Path

from raincheck.context import MemoryRecorder, OperationContext
from raincheck.core.errors import OperationFailed
from raincheck.core.operation import Problem
from raincheck.core.outcome import Returned
from raincheck.core.retry import Retry
from raincheck.invocation import Invocation
from raincheck.ports_functions import Kind


class PlainBinding:
    """Gives a function its stored keywords, the context as ``op``, and opens its sync ``yield`` dependencies."""

    def __init__(self, function, dependencies):
        self._function = function
        self._dependencies = dependencies

    async def arguments(self, stored, files):
        return json.loads(stored)

    async def resolve(self, arguments, *, context, stack, run_sync, app):
        keywords = dict(arguments)
        if "op" in inspect.signature(self._function).parameters:
            keywords["op"] = context
        for name, dependency in self._dependencies.items():
            manager = contextlib.contextmanager(dependency)()
            keywords[name] = await run_sync(manager.__enter__)
            stack.push_async_exit(functools.partial(run_sync, manager.__exit__))
        return keywords

    def render(self, value, arguments, *, staging):
        if callable(value):
            value = value()
        return Returned(body=json.dumps(value).encode(), headers=(("x-rendered", "yes"),))

    def render_blocks(self, value):
        return callable(value)

    def explain(self, exception):
        if isinstance(exception, OperationFailed):
            return Problem(code=exception.code, title=exception.title, extensions=exception.extensions)
        return None


def operation(*, executor="process", memory_limit=None, **dependencies):
    """Decorate a function as Raincheck would, for one kind of its own name."""

    def decorate(function):
        kind = Kind(
            name=function.__name__,
            function=function,
            executor=executor,
            retry=Retry(attempts=2, on=(OSError,)),
            timeout=None,
            max_losses=3,
            retention=timedelta(days=1),
            memory_limit=memory_limit,
            queue="default",
            priority=0,
            wait=timedelta(0),
            binding=PlainBinding(function, dependencies),
        )
        function.__raincheck_kinds__ = {kind.name: kind}
        return function

    return decorate


def kind_of(function):
    return function.__raincheck_kinds__[function.__name__]


def invocation(function, *, recorder=None, metadata=None, **keywords):
    """Return one run of a function with stored keywords."""
    context = OperationContext(
        kind=function.__name__, recorder=recorder or MemoryRecorder(), metadata=metadata or {}, attempt=2
    )
    return Invocation(
        kind=kind_of(function),
        context=context,
        stored=json.dumps(keywords),
        files={},
        staging=lambda: Path("/nonexistent"),
        max_result=1 << 20,
    )


class Signalling(MemoryRecorder):
    """A recorder whose chunks and log lines can be awaited."""

    __slots__ = ("_loop", "_told", "drains")

    def __init__(self):
        super().__init__()
        self.drains = 0
        self._told = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def output(self, output):
        super().output(output)
        self._loop.call_soon_threadsafe(self._told.set)

    def log(self, line):
        super().log(line)
        self._loop.call_soon_threadsafe(self._told.set)

    async def drain(self):
        self.drains += 1

    async def first_output(self):
        """Wait for a chunk; the bound only ends a hang."""
        async with asyncio.timeout(30):
            while not self.outputs:
                self._told.clear()
                await self._told.wait()
        return self.outputs[0]
