-- In parts, each of which reads only what goes first: asked in one, all that comes after is read too.
SELECT count(*) FROM (
    SELECT 1 FROM {schema}.operations WHERE status = 'queued' AND priority > $1
    UNION ALL
    SELECT 1 FROM {schema}.operations WHERE status = 'queued' AND priority = $1 AND run_at < $2
    UNION ALL
    SELECT 1 FROM {schema}.operations WHERE status = 'queued' AND priority = $1 AND run_at = $2 AND id < $3
    LIMIT $4
) AS ahead
