-- Submits that wait in the queue and ask for nothing special, which most do: half as many values to hand over.
INSERT INTO operations (
    id, kind, owner, max_attempts, max_losses, queue, priority, created_at, updated_at, run_at, retention, metadata,
    input, status, version, run, attempt, losses, progress_version, progress_run, output_events, output_bytes
)
SELECT *, 'queued', 1, 0, 0, 0, 0, 0, 0, 0 FROM (VALUES {rows}) WHERE column1 IS NOT NULL
