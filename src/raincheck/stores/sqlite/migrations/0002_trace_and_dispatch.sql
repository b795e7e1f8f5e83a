-- Where in a distributed trace an operation was submitted: JSON of [traceparent, tracestate].
ALTER TABLE operations ADD COLUMN trace TEXT;
-- From when on an engine must be told of what is queued; without an engine it is NULL, and the index stays empty.
ALTER TABLE operations ADD COLUMN dispatch_at INTEGER;
CREATE INDEX operations_dispatch ON operations (dispatch_at) WHERE status = 'queued' AND dispatch_at IS NOT NULL;
