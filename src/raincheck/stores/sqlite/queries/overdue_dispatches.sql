-- Queued operations whose engine must be told, the longest overdue first; all rows as one JSON array.
SELECT json_group_array(json_array({columns})) FROM (
    SELECT * FROM operations
    WHERE status = 'queued' AND dispatch_at IS NOT NULL AND dispatch_at <= :now
      AND kind IN (SELECT value FROM json_each(:kinds))
    ORDER BY dispatch_at
    LIMIT :limit
)
