"""The executor's side of the fork server: starting it, asking it for children, learning of their ends."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from raincheck.core.errors import ExecutorError
from raincheck.executors._channel import Channel
from raincheck.executors._forkserver import kill_group
from raincheck.executors._frames import FrameType, frame
from raincheck.executors._orphans import kill_all_children_of
from raincheck.own_threads import in_own_thread

if TYPE_CHECKING:
    import signal

    from raincheck.executors._frames import Frame

logger = logging.getLogger("raincheck.executors")
IMPORT_PATIENCE = 120.0
_EXIT_PATIENCE = 0.5
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]);"
    " from raincheck.executors._forkserver import main; main(int(sys.argv[1]))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a child ended: its exit code (a negative signal number), or why there is none.

    :param unforked: why there was no child at all.
    """

    code: int | None
    over_memory: int | None = None
    reason: str | None = None
    unforked: str | None = None


@dataclass(slots=True, eq=False)
class Child:
    """A child as its executor sees it."""

    number: int
    channel: Channel
    ended: asyncio.Future[Ended]
    pid: int | None = None


@dataclass(slots=True, eq=False)
class ForkServer:
    """A running fork server."""

    process: subprocess.Popen[bytes]
    channel: Channel
    children: dict[int, Child] = field(default_factory=dict)
    alive: bool = True
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _listener: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, plan: dict[str, Any]) -> ForkServer:
        """Start a fork server and wait until it has imported what the plan names.

        :raises ExecutorError: an import failed, or took too long.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(  # noqa: ASYNC220, S603 - a few milliseconds at start; our own program
                [
                    sys.executable,
                    *_interpreter_flags(),
                    "-c",
                    _PROGRAM,
                    str(theirs.fileno()),
                    _search_path(),
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        server = cls(process, Channel(ours))
        try:
            server.channel.send(frame(FrameType.PLAN, plan))
            await server._imported()
        except BaseException:
            process.kill()
            await server._buried()
            server.channel.close()
            raise
        server._listener = asyncio.create_task(server._listen(), name="raincheck-forkserver")
        return server

    def spawn(self, *, memory_limit: int | None, niceness: int) -> Child:
        """Ask for a child; its first frame must be a request."""
        ours, theirs = socket.socketpair()
        child = Child(next(self._numbers), Channel(ours), asyncio.get_running_loop().create_future())
        self.children[child.number] = child
        order = {"number": child.number, "memory_limit": memory_limit, "niceness": niceness}
        self.channel.send(frame(FrameType.SPAWN, order), fds=(theirs.detach(),))
        return child

    def signal(self, child: Child, number: signal.Signals) -> None:
        """Signal a child, or with SIGKILL all that it started as well; an ended one gets nothing."""
        self.channel.send(frame(FrameType.SIGNAL, {"number": child.number, "signal": int(number)}))

    async def close(self) -> None:
        """Let the fork server kill its children and exit."""
        self.channel.close()
        if self._listener is not None:
            await asyncio.wait((self._listener,))
        await self._buried()

    async def _imported(self) -> None:
        try:
            async with asyncio.timeout(IMPORT_PATIENCE):
                frames = await self.channel.receive()
        except TimeoutError:
            msg = f"importing the application in the fork server took more than {IMPORT_PATIENCE:.0f} seconds"
            raise ExecutorError(msg) from None
        if not frames:
            msg = "the fork server ended while it imported the application; its output may tell why"
            raise ExecutorError(msg)
        fields = frames[0].fields()
        if frames[0].type is FrameType.REFUSED:
            msg = f"the fork server could not import the application:\n{fields['traceback']}"
            raise ExecutorError(msg)
        if fields["threads"]:
            logger.warning(
                "importing the application started threads (%s); they do not exist in the child processes, and a lock"
                " that one of them holds during a fork stays locked there: start them in the lifespan instead",
                ", ".join(fields["threads"]),
            )

    async def _listen(self) -> None:
        while told := await self.channel.receive():
            for one in told:
                self._note(one)
        self.alive = False
        for child in tuple(self.children.values()):
            if child.pid is not None and child.channel.is_open():
                await in_own_thread(kill_all_children_of, child.pid)
            # Only a child that is alive holds its socket, so its process id cannot belong to another process yet.
            if child.pid is not None and child.channel.is_open():
                kill_group(child.pid)
            self._end(child, Ended(code=None, reason="the fork server ended, and its children with it"))
        self.channel.close()

    def _note(self, told: Frame) -> None:
        fields = told.fields()
        child = self.children[fields.pop("number")]
        if told.type is FrameType.STARTED:
            child.pid = fields["pid"]
        else:
            self._end(child, Ended(**fields))

    def _end(self, child: Child, ended: Ended) -> None:
        del self.children[child.number]
        child.channel.peer_ended()
        if not child.ended.done():
            child.ended.set_result(ended)

    async def _buried(self) -> None:
        """Wait for the end of the process, by force if need be, so that no zombie stays."""
        deadline = asyncio.get_running_loop().time() + _EXIT_PATIENCE
        while self.process.poll() is None:
            if asyncio.get_running_loop().time() > deadline:
                self.process.kill()
            await asyncio.sleep(0.002)


def _search_path() -> str:
    return json.dumps([str(entry) for entry in sys.path])


def _interpreter_flags() -> list[str]:
    """Return the flags of this interpreter, such as ``-X dev`` and ``-W error``, as ``multiprocessing`` hands on."""
    with contextlib.suppress(AttributeError):
        flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
        return flags
    return []
