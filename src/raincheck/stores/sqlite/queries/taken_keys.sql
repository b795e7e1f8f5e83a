-- What the idempotency keys of a batch belong to already: (owner, kind, key, id, reason); a tombstone has a reason.
WITH wanted (owner, kind, key) AS (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(?)
)
SELECT json_group_array(json_array(owner, kind, key, id, reason)) FROM (
    SELECT wanted.*, operations.id, NULL AS reason
    FROM wanted CROSS JOIN operations
      ON operations.owner = wanted.owner AND operations.kind = wanted.kind AND operations.idempotency_key = wanted.key
    UNION ALL
    SELECT wanted.*, tombstones.id, tombstones.reason
    FROM wanted CROSS JOIN tombstones
      ON tombstones.owner = wanted.owner AND tombstones.kind = wanted.kind AND tombstones.idempotency_key = wanted.key
)
