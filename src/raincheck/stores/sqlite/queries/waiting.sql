-- Whether the query of claimable.sql would find anything.
SELECT EXISTS (
    SELECT 1 FROM operations
    WHERE status = 'queued'
      AND (run_at <= :now
           OR (updated_at > :set_back AND (scheduled_for IS NULL OR scheduled_for <= :now)))
      AND kind IN (SELECT value FROM json_each(:kinds))
      AND (:queues IS NULL OR queue IN (SELECT value FROM json_each(:queues)))
)
