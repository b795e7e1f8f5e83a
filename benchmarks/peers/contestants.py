"""Who is compared: how each one is started, what it keeps jobs in, and whether work runs beside the server."""

from __future__ import annotations

from dataclasses import dataclass, field

APPS = "benchmarks.peers.apps"


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to do it. ``worker`` are the arguments after ``python -m``; without them the server works itself."""

    name: str
    module: str
    keeps: str
    package: str = ""
    worker: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    server_only: dict[str, str] = field(default_factory=dict)  # so that the server itself does not work
    ours: bool = False
    engine: str = ""  # the contestant that is this one's engine alone
    environment: str = ""  # whose packages are not in the environment of the others


OURS = {"RAINCHECK_MAX_QUEUED": "10000000"}


def fleet(name: str, engine: str, package: str = "", *, alone: str = "", keeps: str = "postgres") -> Contestant:
    """Return Raincheck as a fleet runs it: servers that only accept, and `raincheck worker` beside them."""
    return Contestant(
        name,
        "raincheck_",
        keeps,
        package,
        (f"{APPS}.raincheck_worker", "worker", f"{APPS}.raincheck_:rain"),
        settings={**OURS, "RAINCHECK_ENGINE": engine, "RAINCHECK_WORKERS": "false"},
        ours=True,
        engine=alone,
    )


def celery(module: str) -> tuple[str, ...]:
    """Return Celery's worker program for one of the applications."""
    return ("celery", "-A", f"{APPS}.{module}:queue", "worker", "--concurrency", "2", "--loglevel", "warning")


BARE = Contestant("bare FastAPI", "bare", "nothing")
ALL = (
    BARE,
    Contestant("BackgroundTasks + dict", "background", "nothing", "fastapi"),
    Contestant(
        "Raincheck", "raincheck_", "SQLite", settings=OURS, server_only={"RAINCHECK_WORKERS": "false"}, ours=True
    ),
    Contestant("fastapi-taskflow", "taskflow", "SQLite", "fastapi-taskflow"),
    Contestant("fastapi-jobs", "jobs", "SQLite", "fastapi-jobs", (f"{APPS}.jobs_worker",)),
    fleet("Raincheck, embedded engine", "embedded"),
    fleet("Raincheck + PgQueuer", "pgqueuer", "pgqueuer", alone="PgQueuer"),
    Contestant(
        "PgQueuer",
        "pgqueuer_",
        "postgres",
        "pgqueuer",
        ("pgqueuer", "run", f"{APPS}.pgqueuer_:worker", "--log-level", "WARNING"),
    ),
    fleet("Raincheck + Procrastinate", "procrastinate", "procrastinate", alone="Procrastinate"),
    Contestant(
        "Procrastinate",
        "procrastinate_",
        "postgres",
        "procrastinate",
        ("procrastinate", "--app", f"{APPS}.procrastinate_.queue", "worker", "--concurrency", "100"),
    ),
    Contestant("DBOS", "dbos_", "postgres", "dbos"),
    fleet("Raincheck + Taskiq", "taskiq", "taskiq", alone="Taskiq", keeps="postgres, redis"),
    Contestant(
        "Taskiq", "taskiq_", "redis", "taskiq", ("taskiq", "worker", f"{APPS}.taskiq_:broker", "--workers", "1")
    ),
    Contestant(
        "Raincheck + Celery",
        "raincheck_celery",
        "postgres, redis",
        "celery",
        celery("raincheck_celery"),
        settings=OURS,
        ours=True,
        engine="Celery",
    ),
    Contestant("Celery", "celery_", "redis", "celery", celery("celery_")),
    Contestant("arq", "arq_", "redis", "arq", ("arq", f"{APPS}.arq_.Worker"), environment="arq"),
)
