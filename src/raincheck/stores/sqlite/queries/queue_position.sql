SELECT count(*) FROM (
    SELECT 1 FROM operations
    WHERE status = 'queued'
      AND (priority > :priority
           OR (priority = :priority AND (run_at < :run_at OR (run_at = :run_at AND id < :id))))
    LIMIT :limit
)
