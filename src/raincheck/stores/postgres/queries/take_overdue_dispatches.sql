-- Queued operations whose engine must be told, the longest overdue first, and the rule of dispatch_rules.next_moment.
WITH overdue AS (
    SELECT id FROM {schema}.operations
    WHERE status = 'queued' AND dispatch_at IS NOT NULL AND dispatch_at <= $1 AND kind = ANY ($2::text[])
    ORDER BY dispatch_at
    LIMIT $4
    FOR UPDATE SKIP LOCKED
)
UPDATE {schema}.operations SET dispatch_at = $1 + greatest($3::bigint, $1 - run_at)
WHERE id IN (SELECT id FROM overdue)
RETURNING {columns}
