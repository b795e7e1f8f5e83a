-- Whether the query of claimable.sql would find anything.
WITH RECURSIVE ranks (priority) AS (
    SELECT max(priority) FROM operations WHERE status = 'queued'
    UNION ALL
    SELECT (SELECT max(lower.priority) FROM operations AS lower
            WHERE lower.status = 'queued' AND lower.priority < ranks.priority)
    FROM ranks
    WHERE ranks.priority IS NOT NULL
)
SELECT EXISTS (
    SELECT 1 FROM ranks CROSS JOIN operations AS due
    WHERE due.status = 'queued'
      AND due.priority = ranks.priority
      AND due.run_at <= :now
      AND due.kind IN (SELECT value FROM json_each(:kinds))
      AND (:queues IS NULL OR due.queue IN (SELECT value FROM json_each(:queues)))
) OR EXISTS (
    SELECT 1 FROM operations AS late
    WHERE late.status = 'queued'
      AND late.updated_at > :set_back
      AND (late.scheduled_for IS NULL OR late.scheduled_for <= :now)
      AND late.kind IN (SELECT value FROM json_each(:kinds))
      AND (:queues IS NULL OR late.queue IN (SELECT value FROM json_each(:queues)))
)
