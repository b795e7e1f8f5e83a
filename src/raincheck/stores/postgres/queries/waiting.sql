-- Whether the query of claimable.sql would find anything.
WITH RECURSIVE ranks (priority) AS (
    SELECT max(priority) FROM {schema}.operations WHERE status = 'queued'
    UNION ALL
    SELECT (SELECT max(lower.priority) FROM {schema}.operations AS lower
            WHERE lower.status = 'queued' AND lower.priority < ranks.priority)
    FROM ranks
    WHERE ranks.priority IS NOT NULL
)
SELECT EXISTS (
    SELECT 1 FROM ranks CROSS JOIN LATERAL (
        SELECT 1 FROM {schema}.operations AS queued
        WHERE queued.status = 'queued'
          AND queued.priority = ranks.priority
          AND queued.run_at <= $1
          AND queued.kind = ANY ($2::text[])
          AND ($3::text[] IS NULL OR queued.queue = ANY ($3::text[]))
        ORDER BY queued.run_at
        LIMIT 1
    ) AS due
)
