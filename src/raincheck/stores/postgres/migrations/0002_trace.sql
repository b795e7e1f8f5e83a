-- Where in a distributed trace an operation was submitted: JSON of [traceparent, tracestate].
ALTER TABLE {schema}.operations ADD COLUMN trace text;
