SELECT count(*) FROM (
    SELECT 1 FROM {schema}.operations
    WHERE status = 'queued'
      AND (priority > $1 OR (priority = $1 AND (run_at < $2 OR (run_at = $2 AND id < $3))))
    LIMIT $4
) AS ahead
