"""Operations in a PostgreSQL database, for fleets of more than one machine."""

from raincheck.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
