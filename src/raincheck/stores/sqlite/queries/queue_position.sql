-- In parts, each of which reads only what goes first: asked in one, all that comes after is read too.
SELECT count(*) FROM (
    SELECT 1 FROM operations WHERE status = 'queued' AND priority > :priority
    UNION ALL
    SELECT 1 FROM operations WHERE status = 'queued' AND priority = :priority AND run_at < :run_at
    UNION ALL
    SELECT 1 FROM operations WHERE status = 'queued' AND priority = :priority AND run_at = :run_at AND id < :id
    LIMIT :limit
)
