UPDATE operations SET dispatch_at = :now
WHERE id IN (SELECT id FROM operations WHERE status = 'queued' AND dispatch_at IS NULL LIMIT :limit)
