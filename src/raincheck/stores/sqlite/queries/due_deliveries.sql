-- The predicate of delivery_rules.lease, for one receiver.
SELECT due_at, id FROM deliveries
WHERE status = 'pending'
  AND receiver = :receiver
  AND due_at <= :now
  AND ((source = 'callback' AND :callbacks)
       OR (source = 'webhook' AND url IN (SELECT value FROM json_each(:webhooks))))
ORDER BY due_at, id
LIMIT :room
