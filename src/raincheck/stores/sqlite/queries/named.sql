-- As claimable.sql, of operations that are named.
SELECT json_group_array(json_array({columns})) FROM (
    SELECT * FROM operations
    WHERE id IN (SELECT value FROM json_each(:ids))
      AND status = 'queued'
      AND (run_at <= :now
           OR (updated_at > :set_back AND (scheduled_for IS NULL OR scheduled_for <= :now)))
      AND kind IN (SELECT value FROM json_each(:kinds))
      AND (:queues IS NULL OR queue IN (SELECT value FROM json_each(:queues)))
    ORDER BY priority DESC, run_at, id
    LIMIT :limit
)
