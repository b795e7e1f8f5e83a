-- All submits of a batch; rows of NULL only fill the statement up.
INSERT INTO operations (
    id, kind, owner, status, version, run, attempt, max_attempts, max_losses, queue, priority, created_at, updated_at,
    run_at, scheduled_for, started_at, deadline_at, retention, worker, lease_until, metadata, rerun_of,
    idempotency_key, fingerprint, input, callback, trace, dispatch_at, losses, progress_version, progress_run,
    output_events, output_bytes
)
SELECT *, 0, 0, 0, 0, 0 FROM (VALUES {rows}) WHERE column1 IS NOT NULL
