-- Which of some (id, run) pairs hold their operation, with its status.
SELECT json_group_array(json_array(operations.id, operations.run, status))
FROM (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS run FROM json_each(?)) AS lease
CROSS JOIN operations ON operations.id = lease.id AND operations.run = lease.run
WHERE status IN ('running', 'cancelling')
