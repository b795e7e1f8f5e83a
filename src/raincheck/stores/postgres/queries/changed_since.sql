-- Each branch has an index of its own: what waits, what is held, what has finished lately.
SELECT * FROM (
    SELECT {columns} FROM {schema}.operations WHERE owner = $1 AND updated_at >= $2 AND status = 'queued'
    UNION ALL
    SELECT {columns} FROM {schema}.operations
    WHERE owner = $1 AND updated_at >= $2 AND status IN ('running', 'cancelling')
    UNION ALL
    SELECT {columns} FROM {schema}.operations
    WHERE owner = $1 AND updated_at >= $2 AND finished_at IS NOT NULL AND finished_at >= $2
) AS changed
ORDER BY updated_at
LIMIT $3
