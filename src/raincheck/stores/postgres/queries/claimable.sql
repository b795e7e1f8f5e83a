-- The predicate of transitions.claim, best priority first, then the longest due; what another claims is passed over.
SELECT {columns} FROM {schema}.operations
WHERE status = 'queued'
  AND run_at <= $1
  AND kind = ANY ($2::text[])
  AND ($3::text[] IS NULL OR queue = ANY ($3::text[]))
ORDER BY priority DESC, run_at, id
LIMIT $4
FOR UPDATE SKIP LOCKED
