CREATE TABLE operations (
    id                  TEXT PRIMARY KEY NOT NULL,
    kind                TEXT NOT NULL,
    owner               TEXT NOT NULL,
    status              TEXT NOT NULL,
    version             INTEGER NOT NULL,
    run                 INTEGER NOT NULL,
    attempt             INTEGER NOT NULL,
    max_attempts        INTEGER NOT NULL,
    losses              INTEGER NOT NULL,
    max_losses          INTEGER NOT NULL,
    queue               TEXT NOT NULL,
    priority            INTEGER NOT NULL,
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    run_at              INTEGER NOT NULL,
    scheduled_for       INTEGER,
    started_at          INTEGER,
    finished_at         INTEGER,
    cancel_requested_at INTEGER,
    deadline_at         INTEGER,
    expires_at          INTEGER,
    retention           INTEGER NOT NULL,
    worker              TEXT,
    lease_until         INTEGER,
    progress            TEXT,
    progress_version    INTEGER NOT NULL,
    progress_run        INTEGER NOT NULL,
    progress_at         INTEGER,
    output_events       INTEGER NOT NULL,
    output_bytes        INTEGER NOT NULL,
    metadata            TEXT NOT NULL,
    rerun_of            TEXT,
    idempotency_key     TEXT,
    fingerprint         TEXT,
    error               TEXT,
    traceback           TEXT,
    result              TEXT,
    result_body         BLOB,
    callback            TEXT,
    input               TEXT NOT NULL
);

CREATE INDEX operations_queued ON operations (priority DESC, run_at, id) WHERE status = 'queued';
CREATE INDEX operations_held ON operations (worker, lease_until) WHERE status IN ('running', 'cancelling');
CREATE INDEX operations_deadline ON operations (deadline_at)
    WHERE deadline_at IS NOT NULL AND status IN ('queued', 'running');
CREATE INDEX operations_expiry ON operations (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX operations_finished ON operations (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX operations_owner ON operations (owner, id) WHERE owner <> '';
CREATE UNIQUE INDEX operations_idempotency ON operations (owner, kind, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

CREATE TABLE events (
    operation TEXT NOT NULL,
    version   INTEGER NOT NULL,
    run       INTEGER NOT NULL,
    type      TEXT NOT NULL,
    time      INTEGER NOT NULL,
    data      TEXT NOT NULL,
    PRIMARY KEY (operation, version)
) WITHOUT ROWID;

CREATE TABLE tombstones (
    id              TEXT PRIMARY KEY NOT NULL,
    owner           TEXT NOT NULL,
    kind            TEXT NOT NULL,
    reason          TEXT NOT NULL,
    idempotency_key TEXT,
    until           INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX tombstones_until ON tombstones (until);
CREATE INDEX tombstones_idempotency ON tombstones (owner, kind, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

CREATE TABLE tickets (
    digest    TEXT PRIMARY KEY NOT NULL,
    operation TEXT NOT NULL,
    owner     TEXT NOT NULL,
    used      INTEGER NOT NULL,
    until     INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX tickets_until ON tickets (until);

CREATE TABLE deliveries (
    id          TEXT PRIMARY KEY NOT NULL,
    operation   TEXT NOT NULL,
    source      TEXT NOT NULL,
    url         TEXT NOT NULL,
    receiver    TEXT NOT NULL,
    event       TEXT NOT NULL,
    version     INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    status      TEXT NOT NULL,
    run         INTEGER NOT NULL,
    tries       INTEGER NOT NULL,
    log         TEXT NOT NULL,
    worker      TEXT,
    lease_until INTEGER,
    finished_at INTEGER
);

CREATE INDEX deliveries_operation ON deliveries (operation);
CREATE INDEX deliveries_pending ON deliveries (receiver, due_at) WHERE status = 'pending';
CREATE INDEX deliveries_sending ON deliveries (worker, lease_until) WHERE status = 'sending';
CREATE INDEX deliveries_paused ON deliveries (url) WHERE status = 'paused';

CREATE TABLE webhooks (
    url    TEXT PRIMARY KEY NOT NULL,
    events TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE endpoints (
    url            TEXT PRIMARY KEY NOT NULL,
    failing_since  INTEGER,
    last_failed_at INTEGER,
    disabled_at    INTEGER,
    reason         TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX endpoints_disabled ON endpoints (url) WHERE disabled_at IS NOT NULL;
