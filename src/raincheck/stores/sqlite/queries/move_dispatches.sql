-- The rule of dispatch_rules.next_moment.
UPDATE operations SET dispatch_at = :now + max(:patience, :now - run_at)
WHERE id IN (SELECT value FROM json_each(:ids)) AND status = 'queued'
