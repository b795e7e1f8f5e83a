-- One statement for a whole batch of submits. A key that is taken keeps its submit out and harms no other.
WITH given AS (
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[], $8::bigint[],
        $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::text[], $14::text[], $15::text[], $16::text[],
        $17::text[], $18::text[]
    ) AS given (
        id, kind, owner, max_attempts, max_losses, queue, priority, created_at,
        run_at, scheduled_for, deadline_at, retention, metadata, tags, rerun_of, idempotency_key,
        fingerprint, input
    )
), kept AS (
    INSERT INTO {schema}.idempotency_keys (owner, kind, key, operation)
    SELECT owner, kind, idempotency_key, id FROM given WHERE idempotency_key IS NOT NULL
    ORDER BY owner, kind, idempotency_key
    ON CONFLICT DO NOTHING
    RETURNING operation
)
INSERT INTO {schema}.operations (
    id, kind, owner, max_attempts, max_losses, queue, priority, created_at, updated_at, run_at, scheduled_for,
    deadline_at, retention, metadata, tags, rerun_of, idempotency_key, fingerprint, input,
    status, version, run, attempt, losses, progress_version, progress_run, output_events, output_bytes
)
SELECT
    id, kind, owner, max_attempts, max_losses, queue, priority, created_at, created_at, run_at, scheduled_for,
    deadline_at, retention, metadata, string_to_array(tags, E'\n'), rerun_of, idempotency_key, fingerprint, input,
    'queued', 1, 0, 0, 0, 0, 0, 0, 0
FROM given
WHERE idempotency_key IS NULL OR id IN (SELECT operation FROM kept)
ON CONFLICT DO NOTHING
RETURNING id
