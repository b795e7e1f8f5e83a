-- As in changed_since: each branch has an index of its own.
SELECT * FROM (
    SELECT {columns} FROM {schema}.operations WHERE updated_at >= $1 AND status = 'queued'
    UNION ALL
    SELECT {columns} FROM {schema}.operations WHERE updated_at >= $1 AND status IN ('running', 'cancelling')
    UNION ALL
    SELECT {columns} FROM {schema}.operations
    WHERE updated_at >= $1 AND finished_at IS NOT NULL AND finished_at >= $1
) AS changed
ORDER BY updated_at
LIMIT $2
