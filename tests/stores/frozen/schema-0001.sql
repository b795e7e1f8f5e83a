BEGIN TRANSACTION;
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
CREATE TABLE endpoints (
    url            TEXT PRIMARY KEY NOT NULL,
    failing_since  INTEGER,
    last_failed_at INTEGER,
    disabled_at    INTEGER,
    reason         TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE events (
    operation TEXT NOT NULL,
    version   INTEGER NOT NULL,
    run       INTEGER NOT NULL,
    type      TEXT NOT NULL,
    time      INTEGER NOT NULL,
    data      TEXT NOT NULL,
    PRIMARY KEY (operation, version)
) WITHOUT ROWID;
INSERT INTO "events" VALUES('op_06E17V4Y00K8A26P14HGMG655JNBX28Y',3,1,'status',1769860800000,'{"status": "cancelling", "attempt": 1, "next_attempt_at": null}');
INSERT INTO "events" VALUES('op_06E17V4Y00X66FMF9F9CJQ8Z1XB8XTBW',3,1,'status',1769860800000,'{"status": "queued", "attempt": 1, "next_attempt_at": "2026-01-31T12:01:00.000Z"}');
INSERT INTO "events" VALUES('op_06E17V4Y012ZC70WZH4NWPJNRN9VHC9C',3,1,'output',1769860801000,'{"chunk": {"chunk": 1}}');
INSERT INTO "events" VALUES('op_06E17V4Y012ZC70WZH4NWPJNRN9VHC9C',4,1,'log',1769860801000,'{"level": "info", "message": "half-way"}');
INSERT INTO "events" VALUES('op_06E17V4Y012ZC70WZH4NWPJNRN9VHC9C',5,1,'output',1769860801000,'{"chunk": {"chunk": 2}}');
INSERT INTO "events" VALUES('op_06E17V4Y01DN57A79J1GVF2KG80KC9GP',3,1,'status',1769860800000,'{"status": "cancelling", "attempt": 1, "next_attempt_at": null}');
INSERT INTO "events" VALUES('op_06E17V4Y03T8T5HX479FDNJZ08XGF1DC',3,1,'status',1769860800000,'{"status": "queued", "attempt": 0, "next_attempt_at": "2026-01-31T12:00:00.000Z"}');
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
INSERT INTO "operations" VALUES('op_06E17V4Y02PK6KH6K8MT8978P1VHW36T','is-queued','ada','queued',1,0,0,1,0,3,'default',0,1769860800000,1769860800000,1769860800000,NULL,NULL,NULL,NULL,NULL,NULL,604800000,NULL,NULL,NULL,0,0,NULL,0,0,'{"was": "queued"}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{}');
INSERT INTO "operations" VALUES('op_06E17V4Y01YXFWPFKE8626BKYCG1C4D7','is-running','ada','running',2,1,1,1,0,3,'default',0,1769860800000,1769860800000,1769860800000,NULL,1769860800000,NULL,NULL,NULL,NULL,604800000,'worker-1',1769860815000,NULL,0,0,NULL,0,0,'{"was": "running"}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{}');
INSERT INTO "operations" VALUES('op_06E17V4Y00K8A26P14HGMG655JNBX28Y','is-cancelling','ada','cancelling',3,1,1,1,0,3,'default',0,1769860800000,1769860800000,1769860800000,NULL,1769860800000,NULL,1769860800000,NULL,NULL,604800000,'worker-1',1769860815000,NULL,0,0,NULL,0,0,'{"was": "cancelling"}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{}');
INSERT INTO "operations" VALUES('op_06E17V4Y00BXQRHGN54A1TFQ5M9RXB8D','is-succeeded','ada','succeeded',3,1,1,1,0,3,'default',0,1769860800000,1769860800000,1769860800000,NULL,1769860800000,1769860800000,NULL,NULL,1770465600000,604800000,NULL,NULL,NULL,0,0,NULL,0,0,'{"was": "succeeded"}',NULL,NULL,NULL,NULL,NULL,'[200, "application/json", [], null, 12, "\"abc\""]',X'7B227061676573223A20337D',NULL,'{}');
INSERT INTO "operations" VALUES('op_06E17V4Y00MRXFEYP5P5BKJ9DQ4BS4JM','is-failed','ada','failed',3,1,1,1,0,3,'default',0,1769860800000,1769860800000,1769860800000,NULL,1769860800000,1769860800000,NULL,NULL,1770465600000,604800000,NULL,NULL,NULL,0,0,NULL,0,0,'{"was": "failed"}',NULL,NULL,NULL,'{"code": "out-of-paper", "title": "The printer has no paper", "status": 500, "detail": null, "extensions": {}, "http_detail": null, "headers": []}',NULL,NULL,NULL,NULL,'{}');
INSERT INTO "operations" VALUES('op_06E17V4Y01DN57A79J1GVF2KG80KC9GP','is-cancelled','ada','cancelled',4,1,1,1,0,3,'default',0,1769860800000,1769860800000,1769860800000,NULL,1769860800000,1769860800000,1769860800000,NULL,1770465600000,604800000,NULL,NULL,NULL,0,0,NULL,0,0,'{"was": "cancelled"}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{}');
INSERT INTO "operations" VALUES('op_06E17V4Y012ZC70WZH4NWPJNRN9VHC9C','told','','succeeded',7,1,1,1,0,3,'default',0,1769860800000,1769860802000,1769860800000,NULL,1769860800000,1769860802000,NULL,NULL,1804420802000,34560000000,NULL,NULL,'{"fraction": 0.5, "message": "half"}',6,1,1769860801000,3,86,'{}',NULL,NULL,NULL,NULL,NULL,'[200, "application/json", [], null, 12, "\"abc\""]',X'7B227061676573223A20337D',NULL,'{"body": "päges"}');
INSERT INTO "operations" VALUES('op_06E17V4Y00X66FMF9F9CJQ8Z1XB8XTBW','retried','','queued',3,1,1,3,0,3,'default',0,1769860800000,1769860800000,1769860860000,NULL,1769860800000,NULL,NULL,NULL,NULL,604800000,NULL,NULL,NULL,0,0,NULL,0,0,'{}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{}');
INSERT INTO "operations" VALUES('op_06E17V4Y03T8T5HX479FDNJZ08XGF1DC','lost','','queued',3,1,0,1,1,3,'default',0,1769860800000,1769860800000,1769860800000,NULL,1769860800000,NULL,NULL,NULL,NULL,604800000,NULL,NULL,NULL,0,0,NULL,0,0,'{}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{}');
INSERT INTO "operations" VALUES('op_06E17V4Y00TRRJXC44KYWC46WG5YGXQN','keyed','','queued',1,0,0,1,0,3,'default',0,1769860800000,1769860800000,1769860800000,NULL,NULL,NULL,NULL,NULL,NULL,604800000,NULL,NULL,NULL,0,0,NULL,0,0,'{}',NULL,'key','print',NULL,NULL,NULL,NULL,NULL,'{}');
INSERT INTO "operations" VALUES('op_06E17V4Y00FW3C24S3VBZRH0ZARQ50CP','later','','queued',1,0,0,1,0,3,'default',0,1769860800000,1769860800000,1769947200000,1769947200000,NULL,NULL,NULL,1770033600000,NULL,604800000,NULL,NULL,NULL,0,0,NULL,0,0,'{}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{}');
CREATE TABLE tickets (
    digest    TEXT PRIMARY KEY NOT NULL,
    operation TEXT NOT NULL,
    owner     TEXT NOT NULL,
    used      INTEGER NOT NULL,
    until     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE tombstones (
    id              TEXT PRIMARY KEY NOT NULL,
    owner           TEXT NOT NULL,
    kind            TEXT NOT NULL,
    reason          TEXT NOT NULL,
    idempotency_key TEXT,
    until           INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "tombstones" VALUES('op_06E17V4Y00TMXKC4ZZ0M8Q15WQPD418R','','gone','deleted','gone',1770465600000);
CREATE TABLE webhooks (
    url    TEXT PRIMARY KEY NOT NULL,
    events TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX operations_queued ON operations (priority DESC, run_at, id) WHERE status = 'queued';
CREATE INDEX operations_held ON operations (worker, lease_until) WHERE status IN ('running', 'cancelling');
CREATE INDEX operations_deadline ON operations (deadline_at)
    WHERE deadline_at IS NOT NULL AND status IN ('queued', 'running');
CREATE INDEX operations_expiry ON operations (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX operations_finished ON operations (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX operations_owner ON operations (owner, id) WHERE owner <> '';
CREATE UNIQUE INDEX operations_idempotency ON operations (owner, kind, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX tombstones_until ON tombstones (until);
CREATE INDEX tombstones_idempotency ON tombstones (owner, kind, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX tickets_until ON tickets (until);
CREATE INDEX deliveries_operation ON deliveries (operation);
CREATE INDEX deliveries_pending ON deliveries (receiver, due_at) WHERE status = 'pending';
CREATE INDEX deliveries_sending ON deliveries (worker, lease_until) WHERE status = 'sending';
CREATE INDEX deliveries_paused ON deliveries (url) WHERE status = 'paused';
CREATE INDEX endpoints_disabled ON endpoints (url) WHERE disabled_at IS NOT NULL;
COMMIT;
PRAGMA user_version = 1;
PRAGMA application_id = 1380010318;
