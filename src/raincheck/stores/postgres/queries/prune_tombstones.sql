WITH old AS (
    SELECT id FROM {schema}.tombstones WHERE until <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM {schema}.tombstones WHERE id IN (SELECT id FROM old)
    RETURNING owner, kind, idempotency_key
)
DELETE FROM {schema}.idempotency_keys AS freed
USING gone
WHERE freed.owner = gone.owner AND freed.kind = gone.kind AND freed.key = gone.idempotency_key
