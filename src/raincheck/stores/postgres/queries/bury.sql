WITH gone AS (
    DELETE FROM {schema}.operations WHERE id = $1
    RETURNING id, owner, kind, idempotency_key
), silenced AS (
    DELETE FROM {schema}.events WHERE operation = $1
), untold AS (
    DELETE FROM {schema}.deliveries WHERE operation = $1
)
INSERT INTO {schema}.tombstones (id, owner, kind, reason, idempotency_key, until)
SELECT id, owner, kind, $2, idempotency_key, $3 FROM gone
