-- Moments and durations are whole milliseconds since 1970; texts from outside are escaped (rows.py), JSON is ASCII text.
CREATE TABLE {schema}.operations (
    id                  text COLLATE "C" PRIMARY KEY,
    kind                text NOT NULL,
    owner               text NOT NULL,
    status              text NOT NULL,
    version             bigint NOT NULL,
    run                 bigint NOT NULL,
    attempt             bigint NOT NULL,
    max_attempts        bigint NOT NULL,
    losses              bigint NOT NULL,
    max_losses          bigint NOT NULL,
    queue               text NOT NULL,
    priority            bigint NOT NULL,
    created_at          bigint NOT NULL,
    updated_at          bigint NOT NULL,
    run_at              bigint NOT NULL,
    scheduled_for       bigint,
    started_at          bigint,
    finished_at         bigint,
    cancel_requested_at bigint,
    deadline_at         bigint,
    expires_at          bigint,
    retention           bigint NOT NULL,
    worker              text,
    lease_until         bigint,
    progress            text,
    progress_version    bigint NOT NULL,
    progress_run        bigint NOT NULL,
    progress_at         bigint,
    output_events       bigint NOT NULL,
    output_bytes        bigint NOT NULL,
    metadata            text NOT NULL,
    tags                text[] NOT NULL,
    rerun_of            text,
    idempotency_key     text,
    fingerprint         text,
    error               text,
    traceback           text,
    result              text,
    result_body         bytea,
    callback            text,
    input               text NOT NULL
-- Room in each page keeps renewals and progress off the indexes (HOT); a queue makes many dead rows, so clean often.
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

CREATE INDEX operations_queued ON {schema}.operations (priority DESC, run_at, id) WHERE status = 'queued';
-- Without lease_until, so that a renewal touches no index.
CREATE INDEX operations_held ON {schema}.operations (worker) WHERE status IN ('running', 'cancelling');
CREATE INDEX operations_deadline ON {schema}.operations (deadline_at)
    WHERE deadline_at IS NOT NULL AND status IN ('queued', 'running');
CREATE INDEX operations_expiry ON {schema}.operations (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX operations_finished ON {schema}.operations (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX operations_owner ON {schema}.operations (owner, id) WHERE owner <> '';

-- A key outlives its operation, until the tombstone goes.
CREATE TABLE {schema}.idempotency_keys (
    owner     text NOT NULL,
    kind      text NOT NULL,
    key       text NOT NULL,
    operation text COLLATE "C" NOT NULL,
    PRIMARY KEY (owner, kind, key)
);

CREATE TABLE {schema}.events (
    operation text COLLATE "C" NOT NULL,
    version   bigint NOT NULL,
    run       bigint NOT NULL,
    type      text NOT NULL,
    time      bigint NOT NULL,
    data      text NOT NULL,
    PRIMARY KEY (operation, version)
);

CREATE TABLE {schema}.tombstones (
    id              text COLLATE "C" PRIMARY KEY,
    owner           text NOT NULL,
    kind            text NOT NULL,
    reason          text NOT NULL,
    idempotency_key text,
    until           bigint NOT NULL
);

CREATE INDEX tombstones_until ON {schema}.tombstones (until);

CREATE TABLE {schema}.tickets (
    digest    text COLLATE "C" PRIMARY KEY,
    operation text NOT NULL,
    owner     text NOT NULL,
    used      boolean NOT NULL,
    until     bigint NOT NULL
);

CREATE INDEX tickets_until ON {schema}.tickets (until);

CREATE TABLE {schema}.deliveries (
    id          text COLLATE "C" PRIMARY KEY,
    operation   text COLLATE "C" NOT NULL,
    source      text NOT NULL,
    url         text NOT NULL,
    receiver    text COLLATE "C" NOT NULL,
    event       text NOT NULL,
    version     bigint NOT NULL,
    created_at  bigint NOT NULL,
    due_at      bigint NOT NULL,
    status      text NOT NULL,
    run         bigint NOT NULL,
    tries       bigint NOT NULL,
    log         text NOT NULL,
    worker      text,
    lease_until bigint,
    finished_at bigint
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

CREATE INDEX deliveries_operation ON {schema}.deliveries (operation);
CREATE INDEX deliveries_pending ON {schema}.deliveries (receiver, due_at, id) WHERE status = 'pending';
CREATE INDEX deliveries_sending ON {schema}.deliveries (worker) WHERE status = 'sending';
CREATE INDEX deliveries_paused ON {schema}.deliveries (url) WHERE status = 'paused';

CREATE TABLE {schema}.webhooks (
    url    text PRIMARY KEY,
    events text NOT NULL
);

CREATE TABLE {schema}.endpoints (
    url            text PRIMARY KEY,
    failing_since  bigint,
    last_failed_at bigint,
    disabled_at    bigint,
    reason         text NOT NULL
);

CREATE TABLE {schema}.blobs (
    operation  text COLLATE "C" NOT NULL,
    run        bigint NOT NULL,
    name       text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    size       bigint NOT NULL,
    sha256     text NOT NULL,
    PRIMARY KEY (operation, run, name)
);

-- Written piece by piece, each in a transaction of its own; they count once a row of blobs names their version.
CREATE TABLE {schema}.blob_pieces (
    operation  text COLLATE "C" NOT NULL,
    run        bigint NOT NULL,
    name       text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    number     bigint NOT NULL,
    written_at bigint NOT NULL,
    data       bytea NOT NULL,
    PRIMARY KEY (operation, run, name, version, number)
);

-- Most files are compressed already, and a range of pieces is read whole.
ALTER TABLE {schema}.blob_pieces ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE SEQUENCE {schema}.blob_versions;
