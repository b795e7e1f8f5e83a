-- The predicate of transitions.renewable. Rows are locked in id order, as every writer does, so that none waits in a ring.
WITH held AS (
    SELECT id, status FROM {schema}.operations
    WHERE id = ANY ($1::text[]) AND status IN ('running', 'cancelling')
      AND (id, run) IN (SELECT * FROM unnest($1::text[], $2::bigint[]))
    ORDER BY id
    FOR UPDATE
), renewed AS (
    UPDATE {schema}.operations AS target SET lease_until = $3
    FROM held
    WHERE target.id = held.id
    RETURNING target.id, target.run, target.status
)
SELECT id, run, status = 'cancelling' FROM renewed
