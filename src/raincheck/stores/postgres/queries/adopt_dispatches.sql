WITH unknown AS (
    SELECT id FROM {schema}.operations WHERE status = 'queued' AND dispatch_at IS NULL LIMIT $2
    FOR UPDATE SKIP LOCKED
)
UPDATE {schema}.operations SET dispatch_at = $1
WHERE id IN (SELECT id FROM unknown)
RETURNING id
