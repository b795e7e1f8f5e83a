"""What a store's URL names, and what is shown of it."""

from __future__ import annotations

import pytest

from raincheck.core.errors import ConfigurationError
from raincheck.locations import PostgresDatabase, location


def test_the_schema_is_ours_and_the_rest_is_the_drivers():
    """TLS, several hosts and time-outs are the driver's parameters and pass as they are."""
    url = "postgresql://app:pw@a:5432,b:5433/shop?sslmode=verify-full&schema=jobs&target_session_attrs=read-write"
    assert location(url) == PostgresDatabase(
        "postgresql://app:pw@a:5432,b:5433/shop?sslmode=verify-full&target_session_attrs=read-write", "jobs"
    )
    assert location("postgres://h/d") == PostgresDatabase("postgres://h/d", "raincheck")
    socket = location("postgresql:///d?host=/var/run/postgresql")
    assert isinstance(socket, PostgresDatabase)
    assert socket.url == "postgresql:///d?host=/var/run/postgresql"


@pytest.mark.parametrize("schema", ["", "Jobs", "1st", "a-b", "a;b", 'a"b', "a" * 52, "a.b"])
def test_a_schema_that_could_be_more_than_a_name_is_refused(schema):
    """It becomes part of statements."""
    with pytest.raises(ConfigurationError, match="schema="):
        location(f"postgresql://h/d?schema={schema}")


@pytest.mark.parametrize(
    "url",
    ["postgresql://app:hunter2@db.example:5432/shop", "postgresql://app@h/d?password=hunter2&sslmode=require"],
)
def test_a_password_is_never_shown(url):
    """Messages, logs and `raincheck doctor` show the URL."""
    shown = str(location(url))
    assert "hunter2" not in shown
    assert shown.startswith("postgresql://app@")


def test_a_direct_url_means_that_the_other_leads_to_a_pooler():
    """Both keep the same schema."""
    found = location("postgresql://h:6432/d?schema=jobs", direct="postgresql://h:5432/d")
    assert found == PostgresDatabase("postgresql://h:6432/d", "jobs", "postgresql://h:5432/d")
    assert found.pooled


@pytest.mark.parametrize(
    ("store", "direct"),
    [("sqlite:///a.db", "postgresql://h/d"), ("postgresql://h/d", "h:5432"), ("mysql://h/d", ""), ("sqlite:///", "")],
)
def test_what_makes_no_sense_is_refused(store, direct):
    """At the construction, not at the first request."""
    with pytest.raises(ConfigurationError):
        location(store, direct=direct)
