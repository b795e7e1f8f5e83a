-- Where in a distributed trace an operation was submitted: JSON of [traceparent, tracestate].
ALTER TABLE operations ADD COLUMN trace TEXT;
