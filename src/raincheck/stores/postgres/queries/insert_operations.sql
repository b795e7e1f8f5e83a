-- One statement for a whole batch of submits. A key that is taken keeps its submit out and harms no other.
WITH given AS (
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
        $8::bigint[], $9::bigint[], $10::text[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[],
        $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::text[], $20::bigint[], $21::text[],
        $22::text[], $23::text[], $24::text[], $25::text[], $26::text[], $27::text[], $28::text[], $29::bigint[]
    ) AS given (
        id, kind, owner, status, version, run, attempt, max_attempts, max_losses, queue, priority, created_at,
        updated_at, run_at, scheduled_for, started_at, deadline_at, retention, worker, lease_until, metadata,
        tags, rerun_of, idempotency_key, fingerprint, input, callback, trace, dispatch_at
    )
), kept AS (
    INSERT INTO {schema}.idempotency_keys (owner, kind, key, operation)
    SELECT owner, kind, idempotency_key, id FROM given WHERE idempotency_key IS NOT NULL
    ORDER BY owner, kind, idempotency_key
    ON CONFLICT DO NOTHING
    RETURNING operation
)
INSERT INTO {schema}.operations (
    id, kind, owner, status, version, run, attempt, max_attempts, max_losses, queue, priority, created_at,
    updated_at, run_at, scheduled_for, started_at, deadline_at, retention, worker, lease_until, metadata,
    tags, rerun_of, idempotency_key, fingerprint, input, callback, trace, dispatch_at,
    losses, progress_version, progress_run, output_events, output_bytes
)
SELECT
    id, kind, owner, status, version, run, attempt, max_attempts, max_losses, queue, priority, created_at,
    updated_at, run_at, scheduled_for, started_at, deadline_at, retention, worker, lease_until, metadata,
    string_to_array(tags, E'\n'), rerun_of, idempotency_key, fingerprint, input, callback, trace, dispatch_at,
    0, 0, 0, 0, 0
FROM given
WHERE idempotency_key IS NULL OR id IN (SELECT operation FROM kept)
ON CONFLICT DO NOTHING
RETURNING id, pg_current_xact_id()::text
