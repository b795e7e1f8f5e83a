"""Settings: every keyword of ``Raincheck(...)`` and what only operators set, from ``RAINCHECK_*``."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from raincheck.core.errors import ConfigurationError
from raincheck.core.quantities import duration, size
from raincheck.locations import Location, location

Duration = Annotated[timedelta, BeforeValidator(duration)]
SHORTEST_LEASE = timedelta(milliseconds=100)
Size = Annotated[int, BeforeValidator(size)]


EXECUTORS = ("async", "thread", "process")


class Settings(BaseSettings):
    """Operators set these in the environment; keywords of ``Raincheck(...)`` outrank them.

    Durations are seconds or texts such as ``30s``, ``7d``; sizes are bytes or texts such as ``64MiB``.
    """

    model_config = SettingsConfigDict(env_prefix="RAINCHECK_", extra="ignore", frozen=True)

    store: str = Field(
        "sqlite:///raincheck.db",
        description="the database: `sqlite:///relative/path`, `sqlite:////absolute/path`, "
        "`postgresql://user:password@host/database`, or `memory:` for tests",
    )
    store_direct: str = Field(
        "", description="where the store's URL leads to PgBouncer or another pooler: the URL of PostgreSQL itself"
    )
    engine: str = Field(
        "",
        description="who brings queued operations to workers: `embedded`, `pgqueuer`, `procrastinate`, `taskiq` or "
        "`celery`; empty: `pgqueuer` on PostgreSQL, else `embedded`",
    )
    broker: str = Field(
        "",
        description="the broker of the engine `taskiq`: `redis://host:6379/0`, `nats://host:4222` or `amqp://host:5672`",
    )
    broker_prefix: str = Field(
        "raincheck", description="how names at the broker begin; applications that share a broker need different ones"
    )
    workers: bool = Field(
        default=True, description="run work inside the serving process; `false` leaves it to `raincheck worker`"
    )
    prefix: str = Field("", description="path before `/operations`, such as `/api`")
    public_url: str = Field(
        "",
        description="the URL under which clients reach the application, such as `https://api.example.com`; webhooks "
        "need it for their links",
    )
    health: bool = Field(
        default=True, description="answer the probes `/health/live` and `/health/ready`, below the prefix"
    )
    queues: str = Field("", description="queues that this process works on, separated by commas; empty: all")
    executors: str = Field(
        "", description="executors that run operations in this process, separated by commas; empty: all"
    )
    async_slots: int = Field(100, ge=1, description="async operations that run at once in a process")
    thread_slots: int = Field(
        default_factory=lambda: min(32, 4 * (os.cpu_count() or 1)),
        ge=1,
        description="operations in threads at once; 4 for each core, at most 32",
    )
    process_slots: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="operations in child processes at once; 1 for each core",
    )
    lease: Duration = Field(
        timedelta(seconds=15),
        ge=SHORTEST_LEASE,  # it is renewed, and looked at, several times in its length
        description="how long a worker that is alive but silent keeps its operations; 100 ms at least",
    )
    drain: Duration = Field(
        timedelta(seconds=3), description="how long running work may go on after SIGTERM, before it is handed back"
    )
    max_queued: int = Field(100_000, ge=1, description="operations that may wait; more get 429")
    max_body: Size = Field(100 << 20, description="largest request body; more gets 413")
    max_result: Size = Field(64 << 20, description="largest result; more fails with result-too-large")
    allowed_origins: str = Field("", description="origins of pages that may open a WebSocket, separated by commas")
    handover: int = Field(
        1000,
        ge=0,
        description="validated inputs kept in memory for a first run here, of 64 MiB of requests at most; 0: every run "
        "reads the stored request",
    )

    freeze: bool = Field(
        default=True,
        description="keep the garbage collector away from what was loaded before the start (`gc.freeze()`)",
    )
    gc_threshold: int = Field(
        25_000,
        ge=0,
        description="objects that come together before the garbage collector looks at the young ones "
        "(`gc.set_threshold()`); never less than the application's own, and 0 leaves that alone",
    )

    @property
    def location(self) -> Location:
        """Where the store is.

        :raises ConfigurationError: the URL is unknown.
        """
        return location(self.store, direct=self.store_direct)

    @property
    def allowed_origin_list(self) -> tuple[str, ...]:
        """The origins beside the server's own that may open a WebSocket."""
        return tuple(origin.strip() for origin in self.allowed_origins.split(",") if origin.strip())

    @property
    def executor_names(self) -> tuple[str, ...]:
        """The executors that run operations in this process.

        :raises ConfigurationError: there is no such executor.
        """
        names = tuple(name.strip() for name in self.executors.split(",") if name.strip())
        unknown = sorted(set(names) - set(EXECUTORS))
        if unknown:
            msg = f"RAINCHECK_EXECUTORS names {', '.join(unknown)}. There are {', '.join(EXECUTORS)}."
            raise ConfigurationError(msg)
        return names or EXECUTORS

    @property
    def queue_names(self) -> tuple[str, ...] | None:
        """The queues this process works on; None for all."""
        names = tuple(name.strip() for name in self.queues.split(",") if name.strip())
        return names or None


def load(given: Settings | None, **keywords: Any) -> Settings:
    """Return the settings of the environment with keywords over them.

    :raises ConfigurationError: a value cannot be used; the message names the variable.
    """
    chosen = {name: value for name, value in keywords.items() if value is not None}
    try:
        if given is not None:
            return given.model_copy(update=Settings(**{**given.model_dump(), **chosen}).model_dump())
        return Settings(**chosen)
    except ValidationError as error:
        lines = [f"RAINCHECK_{str(part['loc'][0]).upper()}: {part['msg']}" for part in error.errors()]
        msg = "These settings cannot be used. " + "; ".join(lines)
        raise ConfigurationError(msg) from error
