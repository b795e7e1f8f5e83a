"""Start the demo as its users do: a process of its own, on a free port, in a folder of its own."""

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 90.0  # seconds; a loaded machine is slow
ENDING = 30.0


class RunningDemo:
    """A started demo; ``url`` is set once it serves."""

    def __init__(self, data, *, port=0, receiver_port=0, python=sys.executable, cwd=ROOT):
        environment = {**os.environ, "DEMO_DATA": str(data), "PYTHONUNBUFFERED": "1"}
        for name in ("MAKELEVEL", "PYTHONPATH"):
            environment.pop(name, None)
        script = Path(python).parent / "raincheck"
        # Sockets that a process's end closes are no defect; every other warning is one.
        command = [python, "-W", "error", "-W", "ignore::ResourceWarning", script, "demo"]
        self.process = subprocess.Popen(
            [*command, "--port", str(port), "--receiver-port", str(receiver_port)],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.said = ""
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def wait_for(self, pattern):
        """Return the match of the first line that has the pattern."""
        deadline = time.monotonic() + PATIENCE
        while True:
            line = self.lines.get(timeout=max(0.1, deadline - time.monotonic()))
            if line is None:
                raise AssertionError(f"the demo ended without {pattern!r}:\n{self.said}")
            self.said += line
            if found := re.search(pattern, line):
                return found

    @property
    def url(self):
        """The address that the demo prints."""
        found = re.search(r"http://127\.0\.0\.1:\d+", self.said)
        return found[0] if found else self.wait_for(r"http://127\.0\.0\.1:\d+")[0]

    def end(self, number=signal.SIGTERM):
        """Send a signal, wait for the end, and return the exit status."""
        self.process.send_signal(number)
        status = self.process.wait(timeout=ENDING)
        self.reader.join(timeout=ENDING)
        while (line := self.lines.get()) is not None:
            self.said += line
        return status

    def kill_all(self):
        """End what may still run, with its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.reader.join(timeout=ENDING)
        self.process.stdout.close()
