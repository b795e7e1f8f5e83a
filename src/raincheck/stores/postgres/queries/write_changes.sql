-- The records and the events of a whole batch of changes.
WITH written AS (
    UPDATE {schema}.operations AS target SET
        status = given.status, version = given.version, run = given.run, attempt = given.attempt,
        losses = given.losses, updated_at = given.updated_at, run_at = given.run_at, started_at = given.started_at,
        finished_at = given.finished_at, cancel_requested_at = given.cancel_requested_at,
        expires_at = given.expires_at, worker = given.worker, lease_until = given.lease_until,
        progress = given.progress, progress_version = given.progress_version, progress_run = given.progress_run,
        progress_at = given.progress_at, output_events = given.output_events, output_bytes = given.output_bytes,
        error = given.error, traceback = given.traceback, result = given.result, result_body = given.result_body,
        dispatch_at = given.dispatch_at
    FROM unnest(
        $1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
        $9::bigint[], $10::bigint[], $11::bigint[], $12::text[], $13::bigint[], $14::text[], $15::bigint[],
        $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::text[], $21::text[], $22::text[],
        $23::bytea[], $24::text[], $25::bigint[]
    ) AS given (
        status, version, run, attempt, losses, updated_at, run_at, started_at,
        finished_at, cancel_requested_at, expires_at, worker, lease_until, progress, progress_version,
        progress_run, progress_at, output_events, output_bytes, error, traceback, result,
        result_body, id, dispatch_at
    )
    WHERE target.id = given.id
)
INSERT INTO {schema}.events (operation, version, run, type, time, data)
SELECT * FROM unnest($26::text[], $27::bigint[], $28::bigint[], $29::text[], $30::bigint[], $31::text[])
