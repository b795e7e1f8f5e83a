"""One run in a child of the fork server, from the request on its socket to the outcome."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import traceback
from typing import TYPE_CHECKING

from raincheck.core.operation import Problem
from raincheck.core.outcome import Raised
from raincheck.executors._child_loop import ChildLoop
from raincheck.executors._child_recorder import ChildRecorder
from raincheck.executors._frames import FrameType, receive_frame
from raincheck.executors._orphans import kill_all_children
from raincheck.executors._targets import find_kind
from raincheck.executors._wire import decode_request, encode_outcome
from raincheck.logs import operation_records, run_logging
from raincheck.telemetry.tracing import in_child

if TYPE_CHECKING:
    from raincheck.core.outcome import Outcome
    from raincheck.executors._frames import Frame

_OUR_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run_child(fd: int) -> int:
    """Run what the socket asks for and return the exit code of this process."""
    sock = socket.socket(fileno=fd)
    _leave_behind_in_grandchildren(sock)
    request = receive_frame(sock)
    if request is None:  # the executor is gone
        return 1
    loop = ChildLoop()
    recorder = ChildRecorder(sock, loop)
    outcome = _run(request, sock=sock, loop=loop, recorder=recorder)
    loop.finish()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    recorder.finish(encode_outcome(outcome, terminated=loop.asked))
    return 0


def _run(request: Frame, *, sock: socket.socket, loop: ChildLoop, recorder: ChildRecorder) -> Outcome:
    fields = request.fields()
    try:
        kind = find_kind(fields["target"], fields["kind"])
        invocation = decode_request(request, kind, recorder)
        loop.context = invocation.context
        _take_signals(loop)
        _reseed_numpy()
        threading.Thread(target=_watch, args=(sock, loop, recorder), name="raincheck-watch", daemon=True).start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _OUR_SIGNALS)
        with operation_records(), run_logging(invocation.context), in_child(invocation.trace):
            return loop.run(invocation)
    except Exception as error:  # noqa: BLE001 - nothing of this is the user's function; tell the operator
        problem = Problem(code="executor-error", title="The operation could not be run in a child process")
        return Raised(error=problem, traceback="".join(traceback.format_exception(error)))


def _take_signals(loop: ChildLoop) -> None:
    signal.signal(signal.SIGTERM, loop.on_terminate)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _watch(sock: socket.socket, loop: ChildLoop, recorder: ChildRecorder) -> None:
    """Read what the executor says. Its silence for good means that it died: end with all that was started here.

    The watch runs with all our signals blocked, as it was started before they were unblocked: a signal must reach
    the main thread, which may wait in a system call.
    """
    with contextlib.suppress(OSError):
        while (told := receive_frame(sock)) is not None:
            match told.type:
                case FrameType.CANCEL:
                    loop.context.request_cancel()
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
                case FrameType.DRAINED:
                    recorder.drained(told.fields()["number"])
    kill_all_children()  # first, since nobody would find what left the group afterwards
    os.killpg(0, signal.SIGKILL)


def _leave_behind_in_grandchildren(sock: socket.socket) -> None:
    """Let processes that the function forks neither write into our socket nor take our signals."""

    def leave() -> None:
        sock.close()
        for number in _OUR_SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    os.register_at_fork(after_in_child=leave)


def _reseed_numpy() -> None:
    """Give each child its own random numbers; ``random`` does so at a fork by itself, NumPy does not."""
    random = sys.modules.get("numpy.random")
    if random is not None:
        random.seed()
