WITH expired AS (
    SELECT id FROM {schema}.operations
    WHERE expires_at IS NOT NULL AND expires_at <= $1
    ORDER BY expires_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM {schema}.operations WHERE id IN (SELECT id FROM expired)
    RETURNING id, owner, kind, idempotency_key
), silenced AS (
    DELETE FROM {schema}.events WHERE operation IN (SELECT id FROM expired)
), untold AS (
    DELETE FROM {schema}.deliveries WHERE operation IN (SELECT id FROM expired)
)
INSERT INTO {schema}.tombstones (id, owner, kind, reason, idempotency_key, until)
SELECT id, owner, kind, 'expired', idempotency_key, $3 FROM gone
RETURNING id
