"""The worker program of fastapi-jobs: a module of its own, so that tasks have the same names in both programs."""

from __future__ import annotations

import asyncio

from fastapi_jobs import Worker

from benchmarks.peers.apps.jobs import jobs

if __name__ == "__main__":
    asyncio.run(Worker(jobs.manager, max_concurrency=100).run())
