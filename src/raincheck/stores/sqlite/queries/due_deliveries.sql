-- The predicate of delivery_rules.lease. Each receiver that has something pending is found with one step in the index,
-- and gives as many as it has room for: a thousand that wait for a dead one are not read to find the next.
WITH RECURSIVE receivers (receiver) AS (
    SELECT min(receiver) FROM deliveries WHERE status = 'pending'
    UNION ALL
    SELECT (SELECT min(d.receiver) FROM deliveries AS d WHERE d.status = 'pending' AND d.receiver > receivers.receiver)
    FROM receivers
    WHERE receivers.receiver IS NOT NULL
)
SELECT due.id FROM receivers JOIN deliveries AS due ON due.id IN (
    SELECT d.id FROM deliveries AS d
    WHERE d.receiver = receivers.receiver
      AND d.status = 'pending'
      AND d.due_at <= :now
      AND ((d.source = 'callback' AND :callbacks)
           OR (d.source = 'webhook' AND d.url IN (SELECT value FROM json_each(:webhooks))))
    ORDER BY d.due_at, d.id
    LIMIT coalesce((SELECT value FROM json_each(:rooms) WHERE key = receivers.receiver), :room)
)
ORDER BY due.due_at, due.id
LIMIT :limit
