-- Whether the query of claimable.sql would find anything.
SELECT EXISTS (
    SELECT 1 FROM {schema}.operations
    WHERE status = 'queued'
      AND (run_at <= $1 OR (updated_at > $2 AND (scheduled_for IS NULL OR scheduled_for <= $1)))
      AND kind = ANY ($3::text[])
      AND ($4::text[] IS NULL OR queue = ANY ($4::text[]))
)
