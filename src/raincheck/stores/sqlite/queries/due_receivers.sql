-- Each receiver that has something pending is found with one step in the index, however much waits at the one before.
WITH RECURSIVE waiting (receiver) AS (
    SELECT min(receiver) FROM deliveries WHERE status = 'pending'
    UNION ALL
    SELECT (SELECT min(d.receiver) FROM deliveries AS d WHERE d.status = 'pending' AND d.receiver > waiting.receiver)
    FROM waiting
    WHERE waiting.receiver IS NOT NULL
)
SELECT receiver, room FROM (
    SELECT
        receiver,
        (SELECT min(d.due_at) FROM deliveries AS d WHERE d.status = 'pending' AND d.receiver = waiting.receiver) AS due_at,
        coalesce((SELECT value FROM json_each(:rooms) WHERE key = waiting.receiver), :room) AS room
    FROM waiting
    WHERE receiver IS NOT NULL
)
WHERE due_at <= :now AND room > 0
ORDER BY due_at
LIMIT :limit
