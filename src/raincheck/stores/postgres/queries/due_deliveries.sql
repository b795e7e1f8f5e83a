-- The predicate of delivery_rules.lease, as far as each receiver has room. Each receiver that has something pending is
-- found with one step in the index, however much waits at the one before.
WITH RECURSIVE waiting (receiver) AS (
    SELECT min(receiver) FROM {schema}.deliveries WHERE status = 'pending'
    UNION ALL
    SELECT (
        SELECT min(next.receiver) FROM {schema}.deliveries AS next
        WHERE next.status = 'pending' AND next.receiver > waiting.receiver
    )
    FROM waiting
    WHERE waiting.receiver IS NOT NULL
), receivers AS (
    SELECT waiting.receiver, coalesce(named.room, $4::bigint) AS room, first.due_at
    FROM waiting
    LEFT JOIN unnest($5::text[], $6::bigint[]) AS named (receiver, room) ON named.receiver = waiting.receiver
    CROSS JOIN LATERAL (
        SELECT min(due_at) AS due_at FROM {schema}.deliveries
        WHERE status = 'pending' AND receiver = waiting.receiver
    ) AS first
    WHERE waiting.receiver IS NOT NULL AND first.due_at <= $1
    ORDER BY first.due_at
), chosen AS (
    SELECT * FROM receivers WHERE room > 0 ORDER BY due_at LIMIT $7
)
SELECT found.id
FROM chosen
CROSS JOIN LATERAL (
    SELECT id, due_at FROM {schema}.deliveries
    WHERE status = 'pending'
      AND receiver = chosen.receiver
      AND due_at <= $1
      AND ((source = 'callback' AND $2) OR (source = 'webhook' AND url = ANY ($3::text[])))
    ORDER BY due_at, id
    LIMIT chosen.room
) AS found
ORDER BY found.due_at, found.id
LIMIT $7
