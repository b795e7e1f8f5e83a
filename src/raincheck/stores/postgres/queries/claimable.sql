-- The predicate of transitions.claim and transitions.due, best priority first, then the longest due; what another
-- process claims at this moment is passed over. Each priority is found with one step in the index, and of each no more
-- is read than is due and wanted: what waits for tomorrow costs nothing. late.sql has the rest of the predicate.
WITH RECURSIVE ranks (priority) AS (
    SELECT max(priority) FROM {schema}.operations WHERE status = 'queued'
    UNION ALL
    SELECT (SELECT max(lower.priority) FROM {schema}.operations AS lower
            WHERE lower.status = 'queued' AND lower.priority < ranks.priority)
    FROM ranks
    WHERE ranks.priority IS NOT NULL
)
SELECT {columns} FROM (
    -- The priorities come best first, and no further one is looked at, nor locked, once there are enough.
    SELECT due.* FROM ranks CROSS JOIN LATERAL (
        SELECT * FROM {schema}.operations AS queued
        WHERE queued.status = 'queued'
          AND queued.priority = ranks.priority
          AND queued.run_at <= $1
          AND queued.kind = ANY ($2::text[])
          AND ($3::text[] IS NULL OR queued.queue = ANY ($3::text[]))
        ORDER BY queued.run_at, queued.id
        LIMIT $4
        FOR UPDATE SKIP LOCKED
    ) AS due
    LIMIT $4
) AS claimable
ORDER BY priority DESC, run_at, id
