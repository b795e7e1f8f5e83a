-- Where in a distributed trace an operation was submitted: JSON of [traceparent, tracestate].
ALTER TABLE {schema}.operations ADD COLUMN trace text;
-- From when on an engine must be told of what is queued; without an engine it is NULL, and the index stays empty.
ALTER TABLE {schema}.operations ADD COLUMN dispatch_at bigint;
CREATE INDEX operations_dispatch ON {schema}.operations (dispatch_at)
    WHERE status = 'queued' AND dispatch_at IS NOT NULL;
