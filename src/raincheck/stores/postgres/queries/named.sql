-- As claimable.sql, of operations that are named ($6).
SELECT {columns} FROM {schema}.operations
WHERE id = ANY ($6::text[])
  AND status = 'queued'
  AND (run_at <= $1 OR (updated_at > $2 AND (scheduled_for IS NULL OR scheduled_for <= $1)))
  AND kind = ANY ($3::text[])
  AND ($4::text[] IS NULL OR queue = ANY ($4::text[]))
ORDER BY priority DESC, run_at, id
LIMIT $5
FOR UPDATE SKIP LOCKED
