"""The engine of an application: what ``engine`` and ``store`` choose, refused early where they do not fit."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from raincheck.core.errors import ConfigurationError
from raincheck.locations import PostgresDatabase
from raincheck.stores.postgres.connecting import connect

if TYPE_CHECKING:
    from raincheck.ports_engines import Engine
    from raincheck.settings import Settings

NAMES = ("embedded", "pgqueuer", "procrastinate", "taskiq", "celery")
_IN_POSTGRES = frozenset({"pgqueuer", "procrastinate"})


def chosen_engine(given: Engine | None, settings: Settings) -> Engine | None:
    """Return the engine that the settings choose, or the one that was given; None for the embedded one.

    Making it connects nowhere.

    :raises ConfigurationError: it is unknown, does not fit the store, or its package is not installed.
    """
    if given is not None:
        _refuse_elsewhere(given.name, settings, needed=given.transactional)
        return given
    in_postgres = isinstance(settings.location, PostgresDatabase)
    name = settings.engine or ("pgqueuer" if in_postgres else "embedded")
    if name not in NAMES:
        msg = f"engine={name!r} is unknown. Use one of {', '.join(NAMES)}, or pass an Engine to Raincheck(engine=…)."
        raise ConfigurationError(msg)
    if name == "embedded":
        return None
    _refuse_elsewhere(name, settings, needed=name in _IN_POSTGRES)
    _refuse_missing(name, chosen=bool(settings.engine))
    return _made(name, settings)


def _refuse_elsewhere(name: str, settings: Settings, *, needed: bool) -> None:
    if needed and not isinstance(settings.location, PostgresDatabase):
        msg = (
            f"engine={name!r} keeps its queue in the database of the operations, which must be PostgreSQL. Set "
            "RAINCHECK_STORE=postgresql://…, or leave the engine away: the embedded one needs nothing."
        )
        raise ConfigurationError(msg)


def _refuse_missing(name: str, *, chosen: bool) -> None:
    """Refuse rather than take another engine: what an application does must not hang on what is installed beside it."""
    if find_spec(name) is not None:
        return
    msg = f"engine={name!r} needs a package that is not installed: pip install 'raincheck[{name}]'."
    if not chosen:
        msg = (
            f"Operations in PostgreSQL are brought to workers by {name}, which is not installed: pip install "
            "'raincheck[postgres]'. Or set RAINCHECK_ENGINE=embedded: then workers look into the database themselves."
        )
    raise ConfigurationError(msg)


def _made(name: str, settings: Settings) -> Engine:
    location = settings.location
    match name, location:
        case "pgqueuer", PostgresDatabase():
            from raincheck.engines.pgqueuer import PgQueuerEngine  # noqa: PLC0415 - an extra

            return PgQueuerEngine(connect=lambda: connect(location, direct=True), schema=location.schema)
        case "procrastinate", PostgresDatabase():
            from raincheck.engines.procrastinate import ProcrastinateEngine  # noqa: PLC0415 - an extra

            return ProcrastinateEngine(
                connect=lambda: connect(location, direct=True),
                url=location.direct_url or location.url,
                schema=location.schema,
            )
        case "taskiq", _:
            from raincheck.engines.taskiq import engine_for  # noqa: PLC0415 - an extra

            return engine_for(settings.broker, prefix=settings.broker_prefix)
        case _:
            from raincheck.engines.celery import CeleryEngine  # noqa: PLC0415 - an extra

            return CeleryEngine()
