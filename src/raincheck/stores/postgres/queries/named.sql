-- As claimable.sql and late.sql, of operations that are named ($6).
SELECT {columns} FROM {schema}.operations
WHERE id = ANY ($6::text[])
  AND status = 'queued'
  AND (run_at <= $1 OR (updated_at > $5 AND (scheduled_for IS NULL OR scheduled_for <= $1)))
  AND kind = ANY ($2::text[])
  AND ($3::text[] IS NULL OR queue = ANY ($3::text[]))
ORDER BY priority DESC, run_at, id
LIMIT $4
FOR UPDATE SKIP LOCKED
