"""A million finished operations in PostgreSQL, made by the server itself."""

from __future__ import annotations

_OPERATIONS = """
INSERT INTO {schema}.operations (
    id, kind, owner, status, version, run, attempt, max_attempts, losses, max_losses, queue, priority, created_at,
    updated_at, run_at, started_at, finished_at, expires_at, retention, progress_version, progress_run,
    output_events, output_bytes, metadata, tags, result, result_body, input
)
SELECT
    'op_0' || lpad(n::text, 31, '0'), 'report', CASE WHEN n % 2 = 0 THEN 'somebody' ELSE '' END, 'succeeded', 4, 1, 1,
    1, 0, 3, 'default', 0, at, at, at, at, at, at + 604800000, 604800000, 0, 0, 1, 1, '{{}}', ARRAY[]::text[],
    '[200, "application/json", [], null, 4, "x"]', 'null'::bytea, '{{"v":1,"type":"application/json","body":"{{}}"}}'
FROM (
    SELECT n, (extract(epoch FROM now()) * 1000)::bigint - 86400000 + n / 20 AS at
    FROM generate_series(1, {number}) AS n
) AS numbers
"""
_EVENTS = """
INSERT INTO {schema}.events (operation, version, run, type, time, data)
SELECT id, 3, 1, 'output', finished_at, '{{"chunk": 1}}' FROM {schema}.operations
"""
_DELIVERIES = """
INSERT INTO {schema}.deliveries (
    id, operation, source, url, receiver, event, version, created_at, due_at, status, run, tries, log, finished_at
)
SELECT 'msg_' || substr(id, 4), id, 'webhook', 'https://hooks.example.com/', 'https://hooks.example.com:443',
    'operation.succeeded', 4, finished_at, finished_at, 'delivered', 1, 1, '[]', finished_at
FROM {schema}.operations
"""
_TOMBSTONES = """
INSERT INTO {schema}.tombstones (id, owner, kind, reason, until)
SELECT 'op_1' || substr(id, 5), owner, kind, 'expired', expires_at FROM {schema}.operations
"""
_TABLES = ("operations", "events", "deliveries", "tombstones")


def statements(schema: str, number: int) -> list[str]:
    """Return what fills an empty schema with finished operations, their logs, webhooks and as many tombstones."""
    texts = (_OPERATIONS, _EVENTS, _DELIVERIES, _TOMBSTONES)
    filled = [text.format(schema=schema, number=number) for text in texts]
    return filled + [f"VACUUM ANALYZE {schema}.{table}" for table in _TABLES]
