-- The predicate of transitions.claim and transitions.due, best priority first, then the longest due; all rows as one
-- JSON array. Each priority is found with one step in the index, and of each no more is read than is due and wanted:
-- what waits for tomorrow costs nothing. The last part finds what a clock that was set back has left in the future.
WITH RECURSIVE ranks (priority) AS (
    SELECT max(priority) FROM operations WHERE status = 'queued'
    UNION ALL
    SELECT (SELECT max(lower.priority) FROM operations AS lower
            WHERE lower.status = 'queued' AND lower.priority < ranks.priority)
    FROM ranks
    WHERE ranks.priority IS NOT NULL
)
SELECT json_group_array(json_array({columns})) FROM (
    SELECT * FROM operations
    WHERE rowid IN (
        SELECT first.rowid FROM ranks CROSS JOIN operations AS first ON first.rowid IN (
            SELECT due.rowid FROM operations AS due
            WHERE due.status = 'queued'
              AND due.priority = ranks.priority
              AND due.run_at <= :now
              AND due.kind IN (SELECT value FROM json_each(:kinds))
              AND (:queues IS NULL OR due.queue IN (SELECT value FROM json_each(:queues)))
            ORDER BY due.run_at, due.id
            LIMIT :limit
        )
        UNION ALL
        SELECT late.rowid FROM operations AS late
        WHERE late.status = 'queued'
          AND late.updated_at > :set_back
          AND (late.scheduled_for IS NULL OR late.scheduled_for <= :now)
          AND late.kind IN (SELECT value FROM json_each(:kinds))
          AND (:queues IS NULL OR late.queue IN (SELECT value FROM json_each(:queues)))
    )
    ORDER BY priority DESC, run_at, id
    LIMIT :limit
)
