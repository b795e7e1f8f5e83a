-- What claimable.sql leaves out: what a clock that was set back since has queued in what is now the future. No index
-- leads to it, since one of updated_at would make each report of progress a change of indexes.
SELECT {columns} FROM {schema}.operations
WHERE status = 'queued'
  AND run_at > $1
  AND updated_at > $5
  AND (scheduled_for IS NULL OR scheduled_for <= $1)
  AND kind = ANY ($2::text[])
  AND ($3::text[] IS NULL OR queue = ANY ($3::text[]))
ORDER BY priority DESC, run_at, id
LIMIT $4
FOR UPDATE SKIP LOCKED
