"""Prints how long /ping takes while CPU-bound runs occupy threads, for several switch intervals.

Run it from the repository's folder: ``python -m benchmarks.thread_ping``. The server has the first core, the client
the second; the intervals are measured in turns, and the median of their turns is printed.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import statistics
import subprocess
import sys
import time

import uvicorn
from fastapi import FastAPI

from raincheck.executors.thread import ThreadExecutor
from tests.executors.invoking import Signalling, invocation, operation

INTERVALS = (0.005, 0.001, 0.0005, 0.0002)
BUSY = (0, 2, 4)
TURNS = 3
PINGS = 200


@operation(executor="thread")
def burn(op) -> int:  # noqa: ANN001 - the context, given by name
    op.emit("burning")
    number = 0
    while not op.cancelled:
        for _ in range(10_000):
            number += 1
    return number


async def serve(listening: socket.socket, interval: float, busy: int) -> None:
    """Serve /ping while runs burn; print how far they got once the client says stop."""
    app = FastAPI()
    executor = ThreadExecutor(slots=8, switch_interval=interval)

    @app.get("/ping")
    async def ping() -> str:
        return "pong"

    runs = [invocation(burn, recorder=Signalling()) for _ in range(busy)]
    tasks = [asyncio.create_task(executor.run(run)) for run in runs]
    for run in runs:
        await run.context.recorder.first_output()
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    began = time.perf_counter()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    for run in runs:
        executor.interrupt(run)
    outcomes = await asyncio.gather(*tasks)
    burned = sum(int(outcome.body) for outcome in outcomes) / (time.perf_counter() - began)
    print(burned, flush=True)
    server.should_exit = True
    await serving


def turn(interval: float, busy: int) -> tuple[float, float, float]:
    """Return p50 and p99 of /ping in milliseconds, and millions of loop rounds a second of the busy runs."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        program = f"from benchmarks.thread_ping import child; child({listening.fileno()}, {interval}, {busy})"
        with subprocess.Popen(
            [sys.executable, "-c", program],
            pass_fds=(listening.fileno(),),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            connection = http.client.HTTPConnection("127.0.0.1", port)
            taken = [one_ping(connection) for _ in range(PINGS + 20)][20:]
            process.stdin.write("stop\n")
            process.stdin.flush()
            burned = float(process.stdout.readline())
    taken.sort()
    return taken[PINGS // 2] * 1000, taken[int(PINGS * 0.99)] * 1000, burned / 1e6


def one_ping(connection: http.client.HTTPConnection) -> float:
    began = time.perf_counter()
    connection.request("GET", "/ping")
    connection.getresponse().read()
    return time.perf_counter() - began


def child(fd: int, interval: float, busy: int) -> None:
    os.sched_setaffinity(0, {0})
    asyncio.run(serve(socket.socket(fileno=fd), interval, busy))


def main() -> None:
    os.sched_setaffinity(0, {1})
    found: dict[tuple[float, int], list[tuple[float, float, float]]] = {}
    for _ in range(TURNS):
        for interval in INTERVALS:
            for busy in BUSY:
                found.setdefault((interval, busy), []).append(turn(interval, busy))
    print("interval ms  busy   p50 ms   p99 ms   million rounds/s")
    for (interval, busy), turns in found.items():
        middle = [statistics.median(column) for column in zip(*turns, strict=True)]
        print(f"{interval * 1000:11.1f} {busy:5} {middle[0]:8.2f} {middle[1]:8.2f} {middle[2]:12.2f}")


if __name__ == "__main__":
    main()
