"""Prints the medians of a child process: warm start, cancel to dead, chunks a second.

Run it from the repository's folder: ``python -m benchmarks.process_child``.
"""

from __future__ import annotations

import asyncio
import os
import platform
import statistics
import time
from typing import TYPE_CHECKING

from raincheck.core.outcome import Interrupted
from raincheck.executors.process import ProcessExecutor
from tests.executors import child_operations, operations
from tests.executors.invoking import Signalling, invocation, kind_of

if TYPE_CHECKING:
    from raincheck.core.events import Output

ROUNDS = 50
CHUNKS = 50_000


class Counting(Signalling):
    """Takes chunks as cheaply as can be."""

    def output(self, output: Output) -> None:
        self.outputs.append(output.chunk)


async def whole_run(executor: ProcessExecutor) -> float:
    began = time.perf_counter()
    await executor.run(invocation(operations.add, left=1, right=2))
    return time.perf_counter() - began


async def start_to_first_chunk_and_cancel_to_dead(executor: ProcessExecutor) -> tuple[float, float]:
    recorder = Signalling()
    run = invocation(child_operations.spin, recorder=recorder)
    began = time.perf_counter()
    running = asyncio.create_task(executor.run(run))
    await recorder.first_output()
    started = time.perf_counter()
    executor.interrupt(run)
    outcome = await running
    assert outcome == Interrupted()
    return started - began, time.perf_counter() - started


async def chunks_a_second(executor: ProcessExecutor) -> float:
    run = invocation(operations.emit_many, recorder=Counting(), count=CHUNKS)
    began = time.perf_counter()
    await executor.run(run)
    assert len(run.context.recorder.outputs) == CHUNKS
    return CHUNKS / (time.perf_counter() - began)


async def measure() -> None:
    executor = ProcessExecutor(slots=2)
    began = time.perf_counter()
    await executor.start([kind_of(operations.add), kind_of(child_operations.spin)])
    imported = time.perf_counter() - began
    await whole_run(executor)
    runs = [await whole_run(executor) for _ in range(ROUNDS)]
    starts, cancels = zip(
        *[await start_to_first_chunk_and_cancel_to_dead(executor) for _ in range(ROUNDS)], strict=True
    )
    rates = [await chunks_a_second(executor) for _ in range(5)]
    await executor.stop()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"fork server imported and ready   {imported * 1000:8.1f} ms")
    for name, values in (
        ("no-op, call to outcome", runs),
        ("call to first chunk (warm start)", starts),
        ("cancel to dead, CPU loop", cancels),
    ):
        tail = sorted(values)[int(len(values) * 0.95)]
        print(f"{name:32} {statistics.median(values) * 1000:8.2f} ms median, {tail * 1000:.2f} ms p95")
    print(f"chunks a second, in order        {statistics.median(rates):8.0f} median of {len(rates)}")


if __name__ == "__main__":
    os.environ["RAINCHECK_TEST_NOTE"] = os.devnull
    asyncio.run(measure())
