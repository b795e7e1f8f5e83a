"""The fork server: a small process that has imported the user's modules and forks one child per run.

It is started as a fresh program, so its children inherit no listening socket and no database of the server. It has
one thread, answers only to its executor, and ends with it: when its control socket closes it kills every child with
all that the child started. It alone signals and reaps children, so that no signal meets a process id used again.

``multiprocessing`` has a fork server too. It imports ``__main__`` anew in each child, which takes as long as starting
the application, hides errors of the imports, and kills no process groups.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raincheck.executors._child import run_child
from raincheck.executors._frames import FrameReader, FrameType, frame, receive_frame
from raincheck.executors._memory import GroupMemory
from raincheck.executors._orphans import adopt_orphans, kill_all_children, kill_children
from raincheck.executors._targets import import_plan

if TYPE_CHECKING:
    from raincheck.executors._frames import Frame

MEMORY_PERIOD_MS = 50
_AUTOGROUP = Path("/proc/self/autogroup")  # sched(7): one for each session
# OpenTelemetry's SDK starts its own threads again in each child, with fresh locks (``os.register_at_fork``).
_RESTARTED_AFTER_FORK = ("OtelBatch", "OtelPeriodicExportingMetricReader")
_STOPS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


def main(control_fd: int) -> None:
    """Import what the executor asks for, tell it how that went, and serve until it goes away."""
    control = socket.socket(fileno=control_fd)
    control.set_inheritable(False)
    plan = receive_frame(control)
    if plan is None:
        return
    try:
        import_plan(plan.fields())
    except BaseException:  # noqa: BLE001 - a module may raise anything, SystemExit included
        control.sendall(frame(FrameType.REFUSED, {"traceback": traceback.format_exc()}))
        return
    threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    threads = [name for name in threads if not name.startswith(_RESTARTED_AFTER_FORK)]
    gc.collect()
    gc.freeze()  # else the first collection in each child would copy every page of the imported modules
    adopt_orphans()
    server = _ForkServer(control)
    control.sendall(frame(FrameType.READY, {"threads": threads}))
    server.serve()


@dataclass(slots=True)
class _Child:
    number: int
    pid: int
    memory_limit: int | None
    over_memory: int | None = None


class _ForkServer:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._reader = FrameReader()
        self._received_fds: list[int] = []
        self._children: dict[int, _Child] = {}
        self._memory = GroupMemory()
        self._session_niceness = 0
        self._wake, wake_end = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake_end, False)
        self._wake_end = wake_end
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)
        # A service manager may signal every process of the service: this one ends with its executor only. Blocked
        # besides, because a child keeps a signal that comes before its handler is in place.
        for stop in _STOPS:
            signal.signal(stop, _ignore)
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)

    def serve(self) -> None:
        """Work until the executor's end of the control socket is closed."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        try:
            while True:
                ready = {fd for fd, _ in poll.poll(MEMORY_PERIOD_MS if self._limited() else None)}
                if self._wake in ready:
                    os.read(self._wake, 4096)
                if self._control.fileno() in ready and not self._obey():
                    return
                self._reap()
                self._watch_memory()
        except (BrokenPipeError, ConnectionResetError):
            return
        finally:
            self._end_all()

    def _end_all(self) -> None:
        for child in self._children.values():
            kill_group(child.pid)
        kill_all_children()  # what escaped a group is a child here once its run has died

    def _obey(self) -> bool:
        data, fds, _, _ = socket.recv_fds(self._control, 65536, 16)
        if not data:
            return False
        for fd in fds:
            os.set_inheritable(fd, False)  # noqa: FBT003 - no keyword there
        self._received_fds += fds
        for order in self._reader.feed(data):
            if order.type is FrameType.SPAWN:
                self._spawn(order)
            elif order.type is FrameType.SIGNAL:
                self._signal(order)
        return True

    def _spawn(self, order: Frame) -> None:
        fields = order.fields()
        fd = self._received_fds.pop(0)
        try:
            pid = os.fork()
        except OSError as error:
            os.close(fd)
            self._tell(FrameType.ENDED, number=fields["number"], code=None, unforked=f"fork failed: {error}")
            return
        if pid == 0:
            self._become_child(fd, fields["niceness"])
        with contextlib.suppress(OSError):  # the child does it too; the first to come wins
            os.setpgid(pid, pid)
        os.close(fd)
        child = _Child(fields["number"], pid, fields["memory_limit"])
        self._children[child.number] = child
        self._tell(FrameType.STARTED, number=child.number, pid=pid)
        self._give_way(fields["niceness"])

    def _give_way(self, niceness: int) -> None:
        """Lower this session too: where Linux weighs sessions against each other, ``nice`` counts within each only."""
        if niceness != self._session_niceness:
            with contextlib.suppress(OSError):  # it does not; or it was asked within a tenth of a second, so next time
                _AUTOGROUP.write_text(str(niceness))
                self._session_niceness = niceness

    def _become_child(self, fd: int, niceness: int) -> None:
        """Shed what belongs to the server and run; never return to the server's loop."""
        code = 1
        try:
            with contextlib.suppress(OSError):
                os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._control.close()
            os.close(self._wake)
            os.close(self._wake_end)
            for received in self._received_fds:
                os.close(received)
            os.nice(niceness)
            adopt_orphans()
            code = run_child(fd)
        except BaseException:  # noqa: BLE001 - the executor sees a death, the log sees why
            traceback.print_exc()
        finally:
            os._exit(code)

    def _signal(self, order: Frame) -> None:
        fields = order.fields()
        child = self._children.get(fields["number"])
        if child is None:
            return
        if fields["signal"] == signal.SIGKILL:
            kill_group(child.pid)
        else:  # to the leader only: it takes down its own helpers while it cleans up
            os.kill(child.pid, fields["signal"])

    def _reap(self) -> None:
        """Take leave of dead children: first kill what they left running, while their group id is still theirs."""
        ended = [(child, code) for child in self._children.values() if (code := _exit_code(child.pid)) is not None]
        for child, _ in ended:
            del self._children[child.number]
        # Each living run adopts its own orphans, so what else is here was left by runs that have ended.
        kill_children(spared={child.pid for child in self._children.values()})
        for child, code in ended:
            self._tell(FrameType.ENDED, number=child.number, code=code, over_memory=child.over_memory)

    def _limited(self) -> bool:
        return any(child.memory_limit is not None for child in self._children.values())

    def _watch_memory(self) -> None:
        limited = [child for child in self._children.values() if child.memory_limit is not None]
        if not limited:
            return
        used = self._memory.measure(child.pid for child in limited)
        for child in limited:
            if child.memory_limit is not None and used[child.pid] > child.memory_limit:
                child.over_memory = used[child.pid]
                kill_group(child.pid)

    def _tell(self, kind: FrameType, **fields: Any) -> None:
        self._control.sendall(frame(kind, fields))


def kill_group(group: int) -> None:
    """Kill all processes of a group; that there are none is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS refuses for a group of zombies
        os.killpg(group, signal.SIGKILL)


def _exit_code(pid: int) -> int | None:
    """Return the exit code of a dead child after killing its group, None while it lives."""
    if hasattr(os, "waitid"):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        kill_group(pid)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    found, status = os.waitpid(pid, os.WNOHANG)  # macOS before Python 3.13 has no waitid
    if found == 0:
        return None
    kill_group(pid)
    return os.waitstatus_to_exitcode(status)


def _ignore(_signum: int, _frame: object) -> None:
    """Take a signal without doing anything; unlike SIG_IGN it wakes the loop."""


if __name__ == "__main__":
    main(int(sys.argv[1]))
