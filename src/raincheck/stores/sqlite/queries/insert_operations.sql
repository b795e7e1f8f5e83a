-- One statement for a whole batch of submits: the rows come as one JSON array of arrays.
INSERT INTO operations (
    id, kind, owner, max_attempts, max_losses, queue, priority, created_at, updated_at, run_at, scheduled_for,
    deadline_at, retention, metadata, rerun_of, idempotency_key, fingerprint, input, callback,
    status, version, run, attempt, losses, progress_version, progress_run, output_events, output_bytes
)
SELECT
    json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
    json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
    json_extract(value, '$[6]'), json_extract(value, '$[7]'), json_extract(value, '$[7]'),
    json_extract(value, '$[8]'), json_extract(value, '$[9]'), json_extract(value, '$[10]'),
    json_extract(value, '$[11]'), json_extract(value, '$[12]'), json_extract(value, '$[13]'),
    json_extract(value, '$[14]'), json_extract(value, '$[15]'), json_extract(value, '$[16]'),
    json_extract(value, '$[17]'),
    'queued', 1, 0, 0, 0, 0, 0, 0, 0
FROM json_each(?)
WHERE true
ON CONFLICT (owner, kind, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
