-- What was queued by a clock that has been set back since: asked for in each claim, and nearly always none.
CREATE INDEX operations_queued_changed ON operations (updated_at) WHERE status = 'queued';
