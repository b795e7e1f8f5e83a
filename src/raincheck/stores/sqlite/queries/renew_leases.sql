-- The predicate of transitions.renewable, for all leases of a worker: (id, run) pairs as JSON; see renewed.sql.
UPDATE operations SET lease_until = :until
FROM (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS run FROM json_each(:leases)) AS lease
WHERE operations.id = lease.id AND operations.run = lease.run AND status IN ('running', 'cancelling')
