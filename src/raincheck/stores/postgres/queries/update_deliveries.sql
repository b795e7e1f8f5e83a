UPDATE {schema}.deliveries AS target SET
    due_at = given.due_at, status = given.status, run = given.run, tries = given.tries, log = given.log,
    worker = given.worker, lease_until = given.lease_until, finished_at = given.finished_at
FROM unnest(
    $1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::bigint[],
    $9::bigint[]
) AS given (id, due_at, status, run, tries, log, worker, lease_until, finished_at)
WHERE target.id = given.id
