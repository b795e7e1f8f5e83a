"""Where a store is: what the URL of the ``store`` setting names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from raincheck.core.errors import ConfigurationError

DEFAULT_SCHEMA = "raincheck"
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,50}")
_SQLITE = "sqlite:///"
_POSTGRES = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True)
class Memory:
    """Inside the process: for tests."""


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """A file on a local disk."""

    path: Path


@dataclass(frozen=True, slots=True)
class PostgresDatabase:
    """A schema of a PostgreSQL database.

    :param url: as the driver takes it, without Raincheck's own parameters.
    :param direct_url: leads to the server itself where ``url`` leads to a pooler, such as PgBouncer.
    """

    url: str
    schema: str = DEFAULT_SCHEMA
    direct_url: str | None = None

    @property
    def pooled(self) -> bool:
        """Whether ``url`` leads to a pooler, which may give each transaction another connection."""
        return self.direct_url is not None

    def __str__(self) -> str:
        """Return the URL without its password, for messages."""
        parts = urlsplit(self.url)
        user, _, hosts = parts.netloc.rpartition("@")
        netloc = f"{user.partition(':')[0]}@{hosts}" if user else hosts
        query = [(name, value) for name, value in parse_qsl(parts.query) if name not in {"password", "passfile"}]
        return _url(parts.scheme, netloc, parts.path, query)


Location = Memory | SqliteFile | PostgresDatabase


def location(store: str, *, direct: str = "") -> Location:
    """Return what a store's URL names.

    :param direct: where ``store`` leads to a pooler, the URL of the PostgreSQL server behind it.
    :raises ConfigurationError: the URL is unknown.
    """
    if store.startswith(_POSTGRES):
        return _postgres(store, direct)
    if direct:
        msg = "RAINCHECK_STORE_DIRECT is set, but RAINCHECK_STORE is no postgresql:// URL. Set both, or unset it."
        raise ConfigurationError(msg)
    if store == "memory:":
        return Memory()
    if store.startswith(_SQLITE) and len(store) > len(_SQLITE):
        return SqliteFile(Path(store.removeprefix(_SQLITE)))
    shown = store.rpartition("@")[2]  # without a password
    msg = f"store={shown!r} is unknown. Use 'sqlite:///path/file.db', 'postgresql://user@host/database' or 'memory:'."
    raise ConfigurationError(msg)


def _postgres(store: str, direct: str) -> PostgresDatabase:
    url, schema = _without_schema(store)
    if not direct:
        return PostgresDatabase(url, schema)
    if not direct.startswith(_POSTGRES):
        msg = "RAINCHECK_STORE_DIRECT must be a postgresql:// URL: that of the server behind the pooler."
        raise ConfigurationError(msg)
    return PostgresDatabase(url, schema, _without_schema(direct)[0])


def _without_schema(url: str) -> tuple[str, str]:
    """Return the URL as the driver takes it, and the schema that ``?schema=`` names."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    schema = dict(query).get("schema", DEFAULT_SCHEMA)
    if _SCHEMA.fullmatch(schema) is None:
        msg = f"schema={schema!r} cannot be used: take a lower-case letter, then letters, digits and '_', 51 at most."
        raise ConfigurationError(msg)
    kept = [(name, value) for name, value in query if name != "schema"]
    return _url(parts.scheme, parts.netloc, parts.path, kept), schema


def _url(scheme: str, netloc: str, path: str, query: list[tuple[str, str]]) -> str:
    """Return a URL; urlunsplit leaves the slashes of an empty host away."""
    text = urlencode(query, quote_via=quote, safe="/,:")
    return f"{scheme}://{netloc}{path}" + (f"?{text}" if text else "")
