"""An application in two modules, and processes of it."""

from __future__ import annotations

import os
import subprocess
import time

FEATURE = """
import asyncio
import time
from pathlib import Path
from raincheck import OperationContext, Raincheck

rain = Raincheck()
router = rain.router()

@router.post("/double")
async def double(number: int) -> int:
    return 2 * number

@router.post("/apart", queue="apart")
async def apart() -> str:
    return "done"

@router.post("/interrupted")
async def interrupted(op: OperationContext) -> dict[str, int]:
    if op.run == 1:
        await asyncio.sleep(600)
    return {"run": op.run, "attempt": op.attempt}

@router.post("/endless")
def endless() -> None:
    time.sleep(600)
"""


LOUD = """
import logging
logging.basicConfig(format="not JSON: %(message)s")

@router.post("/loud")
async def loud() -> None:
    logging.getLogger("shop").warning("loud %d", 1)
    try:
        raise ValueError("too loud")
    except ValueError:
        logging.getLogger("shop").exception("it was")
        raise
"""


WEB = """
import contextlib
from pathlib import Path
from fastapi import FastAPI
from feature import rain, router

@contextlib.asynccontextmanager
async def lifespan(app):
    Path("opened").touch()
    yield
    Path("closed").touch()

app = FastAPI(lifespan=lifespan)
rain.install(app)
app.include_router(router)
"""


PATIENCE = 60.0


def eventually(condition, *, what):
    """Wait until a condition holds and return its value; fail when it takes too long."""
    give_up = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < give_up, f"waited too long for {what}"
        time.sleep(0.02)
    return found


class Process:
    """A process of ours with its log."""

    def __init__(self, folder, name, *command, **settings):
        self.log = folder / f"{name}.log"
        environment = {**os.environ, "RAINCHECK_STORE": "sqlite:///raincheck.db", **settings}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)

    def logged(self, text):
        """Wait until the log has a text; fail at once when the process has ended without it."""

        def found():
            ended = self.process.poll() is not None
            content = self.log.read_text()
            assert text in content or not ended, f"ended with {self.process.returncode}: {content}"
            return text in content

        eventually(found, what=f"{text!r} in {self.log}")

    def send(self, number):
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self):
        """Return the exit code."""
        return self.process.wait(PATIENCE)

    def kill(self):
        """End it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
