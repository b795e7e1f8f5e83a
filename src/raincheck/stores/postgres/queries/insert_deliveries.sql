INSERT INTO {schema}.deliveries (
    id, operation, source, url, receiver, event, version, created_at, due_at, status, run, tries, log
)
SELECT given.*, 0, 0, '[]' FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::text[]
) AS given
ON CONFLICT (id) DO NOTHING
