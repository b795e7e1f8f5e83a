INSERT OR IGNORE INTO deliveries (
    id, operation, source, url, receiver, event, version, created_at, due_at, status, run, tries, log
)
SELECT *, 0, 0, '[]' FROM (VALUES {rows}) WHERE column1 IS NOT NULL
