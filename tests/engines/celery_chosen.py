"""The Celery application of a test's program, where the test has chosen Celery: ``CELERY_BROKER`` says which broker.

Programs that share the broker have queues of their own, by ``RAINCHECK_BROKER_PREFIX``.
"""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from celery import Celery

    from raincheck.engines.celery import CeleryEngine


def worker_options() -> tuple[str, ...]:
    """Return the options of a worker with a name of its own, as RabbitMQ wants it.

    It is one process with threads: each of Celery's own processes would import the application anew.
    """
    return "worker", "-P", "threads", "-c", "24", "-l", "WARNING", "-n", f"{uuid.uuid4().hex}@%h"


def celery_chosen() -> tuple[Celery | None, CeleryEngine | None]:
    """Return Celery's application and engine; None and None where another engine was chosen, by its settings."""
    broker = os.environ.get("CELERY_BROKER")
    if not broker:
        return None, None
    from celery import Celery

    from raincheck.engines.celery import CeleryEngine

    app = Celery(broker=broker)
    queue = os.environ["RAINCHECK_BROKER_PREFIX"]
    app.conf.update(task_default_queue=queue, worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True)
    return app, CeleryEngine(app)
