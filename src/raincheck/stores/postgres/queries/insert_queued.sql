-- As insert_operations.sql, for a batch in which every submit waits and asks for nothing special: a third of the arrays.
INSERT INTO {schema}.operations (
    id, kind, owner, max_attempts, max_losses, queue, priority, created_at, updated_at, run_at, retention, metadata,
    tags, input, dispatch_at, status, version, run, attempt, losses, progress_version, progress_run, output_events,
    output_bytes
)
SELECT
    id, kind, owner, max_attempts, max_losses, queue, priority, created_at, created_at, created_at, retention, metadata,
    string_to_array(tags, E'\n'), input, dispatch_at, 'queued', 1, 0, 0, 0, 0, 0, 0, 0
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[], $8::bigint[],
    $9::bigint[], $10::text[], $11::text[], $12::text[], $13::bigint[]
) AS given (
    id, kind, owner, max_attempts, max_losses, queue, priority, created_at, retention, metadata, tags, input,
    dispatch_at
)
ON CONFLICT DO NOTHING
RETURNING id, pg_current_xact_id()::text
