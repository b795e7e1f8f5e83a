-- The predicate of transitions.renewable.
UPDATE operations SET lease_until = ?
WHERE id = ? AND run = ? AND status IN ('running', 'cancelling')
