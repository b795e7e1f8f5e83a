SELECT found.operation, found.version, found.run, found.type, found.time, found.data
FROM unnest($1::text[], $2::bigint[]) AS cursor (operation, after)
CROSS JOIN LATERAL (
    SELECT * FROM {schema}.events
    WHERE events.operation = cursor.operation AND events.version > cursor.after
    ORDER BY events.version
    LIMIT $3
) AS found
ORDER BY found.operation, found.version
