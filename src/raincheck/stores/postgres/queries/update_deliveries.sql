UPDATE {schema}.deliveries AS target SET
    due_at = given.due_at, status = given.status, run = given.run, tries = given.tries, log = given.log,
    worker = given.worker, lease_until = given.lease_until, finished_at = given.finished_at
FROM unnest(
    $1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
    $9::text[]
) AS given (due_at, status, run, tries, log, worker, lease_until, finished_at, id)
WHERE target.id = given.id
