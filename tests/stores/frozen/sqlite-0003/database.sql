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
INSERT INTO "deliveries" VALUES('msg_06E17V55T06H36QD0Q5A74A6KE2XAGYK','op_06E17V4Y00GXJC4KZT2DPH64T9V9ZXZ4','webhook','https://hooks.example.invalid/all','https://hooks.example.invalid:443','operation.succeeded',7,1769860802000,1769860802000,'pending',0,0,'[]',NULL,NULL,NULL);
INSERT INTO "deliveries" VALUES('msg_06E17V51X1K9SF4Y3YNX4ZRAMT3MZQ0F','op_06E17V4Y03WS0YD8XB3F0MFTRKK2P5ZP','webhook','https://hooks.example.invalid/all','https://hooks.example.invalid:443','operation.cancelled',4,1769860801000,1769860801000,'sending',1,0,'[]','frozen-worker',1769860860000,NULL);
INSERT INTO "deliveries" VALUES('msg_06E17V51X3P1S7Z9N5PGYWH188Q76W55','op_06E17V4Y01JB4VGYYTNXRZZX1G1VVVEA','webhook','https://hooks.example.invalid/all','https://hooks.example.invalid:443','operation.failed',3,1769860801000,1769860801000,'sending',1,0,'[]','frozen-worker',1769860860000,NULL);
INSERT INTO "deliveries" VALUES('msg_06E17V51X00CDAMYFS65HMCRJT99HPY5','op_06E17V4Y00WE91YYKP9SRA2YRWH9J84Y','webhook','https://hooks.example.invalid/all','https://hooks.example.invalid:443','operation.failed',3,1769860801000,1769860801000,'sending',1,0,'[]','frozen-worker',1769860860000,NULL);
INSERT INTO "deliveries" VALUES('msg_06E17V51X1DCGVD1RGK5QD93Z77XZ84S','op_06E17V4Y03562XGE94JE1Z3SMM33EBVS','webhook','https://hooks.example.invalid/all','https://hooks.example.invalid:443','operation.failed',2,1769860801000,1769860801000,'sending',1,0,'[]','frozen-worker',1769860860000,NULL);
INSERT INTO "deliveries" VALUES('msg_06E17V51X1JWZYQ1JG1K1G1PS2Y7DVK0','op_06E17V4Y02PSPEDTY3GGSWZ82SB4TN85','webhook','https://hooks.example.invalid/all','https://hooks.example.invalid:443','operation.succeeded',3,1769860801000,1769860801000,'sending',1,0,'[]','frozen-worker',1769860860000,NULL);
INSERT INTO "deliveries" VALUES('msg_06E17V4Y017A0TMTT6J6CQBJ4WDTP1A1','op_06E17V4Y00T7EHY548K7ZP1HMJEVV1J3','callback','https://hooks.example.invalid/pending','https://hooks.example.invalid:443','operation.started',2,1769860800000,1769860807000,'pending',1,1,'[[1769860800000, 1000000, null, "unreachable", "nobody listens", null, ""]]',NULL,NULL,NULL);
INSERT INTO "deliveries" VALUES('msg_06E17V4Y02D9Y9DDCFRZFJXGZ6JQ3W73','op_06E17V4Y00WFNAS9F2KH5C892BH9FFRB','callback','https://hooks.example.invalid/sending','https://hooks.example.invalid:443','operation.started',2,1769860800000,1769860800000,'sending',1,0,'[]','frozen-worker',1769860860000,NULL);
INSERT INTO "deliveries" VALUES('msg_06E17V4Y00H1WQS2VV9ZYFNXG0Y8CPP8','op_06E17V4Y02B2SVEHF0GXPKX0MMG8NQEP','callback','https://hooks.example.invalid/paused','https://hooks.example.invalid:443','operation.started',2,1769860800000,1769860800000,'paused',1,0,'[]',NULL,NULL,NULL);
INSERT INTO "deliveries" VALUES('msg_06E17V4Y02B8CN85W6PGT0CAHZNTC9VR','op_06E17V4Y00RGB8K82DZ8RG8HM8HSH2ZG','callback','https://hooks.example.invalid/delivered','https://hooks.example.invalid:443','operation.started',2,1769860800000,1769860800000,'delivered',1,0,'[[1769860800000, 1000000, 204, null, "", null, ""]]',NULL,NULL,1769860802000);
INSERT INTO "deliveries" VALUES('msg_06E17V4Y030MF42CPS3QE4B480R219RT','op_06E17V4Y00GB19091HFDGPS51WD3RM78','callback','https://hooks.example.invalid/given-up','https://hooks.example.invalid:443','operation.started',2,1769860800000,1769860800000,'failed',1,1,'[[1769860800000, 1000000, 410, null, "", null, "gone f\u00f6r good"]]',NULL,NULL,1769860802000);
CREATE TABLE endpoints (
    url            TEXT PRIMARY KEY NOT NULL,
    failing_since  INTEGER,
    last_failed_at INTEGER,
    disabled_at    INTEGER,
    reason         TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "endpoints" VALUES('https://hooks.example.invalid/given-up',1769860802000,1769860802000,NULL,'');
INSERT INTO "endpoints" VALUES('https://hooks.example.invalid/paused',1769428800000,1769860800000,1769860800000,'dead');
INSERT INTO "endpoints" VALUES('https://hooks.example.invalid/pending',1769860802000,1769860802000,NULL,'');
CREATE TABLE events (
    operation TEXT NOT NULL,
    version   INTEGER NOT NULL,
    run       INTEGER NOT NULL,
    type      TEXT NOT NULL,
    time      INTEGER NOT NULL,
    data      TEXT NOT NULL,
    PRIMARY KEY (operation, version)
) WITHOUT ROWID;
INSERT INTO "events" VALUES('op_06E17V4Y0057ZQE25RVYNW2VEH25KXGJ',3,1,'status',1769860801000,'{"status": "queued", "attempt": 0, "next_attempt_at": "2026-01-31T12:00:00.000Z"}');
INSERT INTO "events" VALUES('op_06E17V4Y00GXJC4KZT2DPH64T9V9ZXZ4',3,1,'output',1769860801000,'{"chunk": {"run": 1}}');
INSERT INTO "events" VALUES('op_06E17V4Y00GXJC4KZT2DPH64T9V9ZXZ4',4,1,'log',1769860801000,'{"level": "warning", "message": "half-w\u00e4y"}');
INSERT INTO "events" VALUES('op_06E17V4Y00GXJC4KZT2DPH64T9V9ZXZ4',5,1,'output',1769860801000,'{"chunk": {"run": 1}}');
INSERT INTO "events" VALUES('op_06E17V4Y0179WE3GMCC7R2W9H0BZ2B0A',3,1,'status',1769860801000,'{"status": "queued", "attempt": 1, "next_attempt_at": "2026-01-31T13:00:00.000Z"}');
INSERT INTO "events" VALUES('op_06E17V4Y02T8BNVZVGH1XJSJ080W9K89',3,1,'status',1769860801000,'{"status": "cancelling", "attempt": 1, "next_attempt_at": null}');
INSERT INTO "events" VALUES('op_06E17V4Y03VJEPGYQKRA7NZW8VH3BQ13',3,1,'output',1769860801000,'{"chunk": {"run": 1}}');
INSERT INTO "events" VALUES('op_06E17V4Y03VJEPGYQKRA7NZW8VH3BQ13',4,1,'log',1769860801000,'{"level": "warning", "message": "half-w\u00e4y"}');
INSERT INTO "events" VALUES('op_06E17V4Y03VJEPGYQKRA7NZW8VH3BQ13',5,1,'output',1769860801000,'{"chunk": {"run": 1}}');
INSERT INTO "events" VALUES('op_06E17V4Y03WS0YD8XB3F0MFTRKK2P5ZP',3,1,'status',1769860801000,'{"status": "cancelling", "attempt": 1, "next_attempt_at": null}');
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
, trace TEXT, dispatch_at INTEGER);
INSERT INTO "operations" VALUES('op_06E17V4Y03NTYQ6DDWVJJ79MQBF1QFZN','report','ada','queued',1,0,0,3,0,3,'default',0,1769860800000,1769860800000,1769860800000,NULL,NULL,NULL,NULL,NULL,NULL,2592000000,NULL,NULL,NULL,0,0,NULL,0,0,'{"was": "queued"}',NULL,'queued','674cf1cebb94b1928773bb0e7adb16e93dc15e85a16b9092ce8de7db666b71ea',NULL,NULL,NULL,NULL,NULL,'{"v":1,"path":{"paper": "a4"},"query":[["copies", "2"]],"depends":{"asking": "{\"name\":\"ada\",\"team\":\"team of ada\"}"},"type":"application/json","body":"{\"pages\":3,\"title\":\"p\u00e4ges\"}"}','["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", ""]',NULL);
INSERT INTO "operations" VALUES('op_06E17V4Y0179WE3GMCC7R2W9H0BZ2B0A','report','ada','queued',3,1,1,3,0,3,'default',0,1769860800000,1769860801000,1769864400000,NULL,1769860800000,NULL,NULL,NULL,NULL,2592000000,NULL,NULL,NULL,0,0,NULL,0,0,'{"was": "retrying"}',NULL,'retrying','674cf1cebb94b1928773bb0e7adb16e93dc15e85a16b9092ce8de7db666b71ea',NULL,'Traceback: out of paper',NULL,NULL,NULL,'{"v":1,"path":{"paper": "a4"},"query":[["copies", "2"]],"depends":{"asking": "{\"name\":\"ada\",\"team\":\"team of ada\"}"},"type":"application/json","body":"{\"pages\":3,\"title\":\"p\u00e4ges\"}"}','["00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00", "rojo=00f067aa0ba902b7"]',1769864410000);
INSERT INTO "operations" VALUES('op_06E17V4Y0057ZQE25RVYNW2VEH25KXGJ','report','ada','queued',3,1,0,3,1,3,'default',0,1769860800000,1769860801000,1769860800000,NULL,1769860800000,NULL,NULL,NULL,NULL,2592000000,NULL,NULL,NULL,0,0,NULL,0,0,'{"was": "lost"}',NULL,'lost','674cf1cebb94b1928773bb0e7adb16e93dc15e85a16b9092ce8de7db666b71ea',NULL,NULL,NULL,NULL,NULL,'{"v":1,"path":{"paper": "a4"},"query":[["copies", "2"]],"depends":{"asking": "{\"name\":\"ada\",\"team\":\"team of ada\"}"},"type":"application/json","body":"{\"pages\":3,\"title\":\"p\u00e4ges\"}"}',NULL,1769860811000);
INSERT INTO "operations" VALUES('op_06E17V4Y03VJEPGYQKRA7NZW8VH3BQ13','report','ada','running',6,1,1,3,0,3,'default',0,1769860800000,1769860801000,1769860800000,NULL,1769860800000,NULL,NULL,NULL,NULL,2592000000,'frozen-worker',1769860815000,'{"fraction": 0.5, "current": 1, "total": 2, "unit": "pages", "message": "half", "stage": "printing"}',6,1,1769860801000,3,90,'{"was": "running"}',NULL,'running','674cf1cebb94b1928773bb0e7adb16e93dc15e85a16b9092ce8de7db666b71ea',NULL,NULL,NULL,NULL,NULL,'{"v":1,"path":{"paper": "a4"},"query":[["copies", "2"]],"depends":{"asking": "{\"name\":\"ada\",\"team\":\"team of ada\"}"},"type":"application/json","body":"{\"pages\":3,\"title\":\"p\u00e4ges\"}"}',NULL,NULL);
INSERT INTO "operations" VALUES('op_06E17V4Y02T8BNVZVGH1XJSJ080W9K89','report','ada','cancelling',3,1,1,3,0,3,'default',0,1769860800000,1769860801000,1769860800000,NULL,1769860800000,NULL,1769860801000,NULL,NULL,2592000000,'frozen-worker',1769860815000,NULL,0,0,NULL,0,0,'{"was": "cancelling"}',NULL,'cancelling','674cf1cebb94b1928773bb0e7adb16e93dc15e85a16b9092ce8de7db666b71ea',NULL,NULL,NULL,NULL,NULL,'{"v":1,"path":{"paper": "a4"},"query":[["copies", "2"]],"depends":{"asking": "{\"name\":\"ada\",\"team\":\"team of ada\"}"},"type":"application/json","body":"{\"pages\":3,\"title\":\"p\u00e4ges\"}"}',NULL,NULL);
INSERT INTO "operations" VALUES('op_06E17V4Y00GXJC4KZT2DPH64T9V9ZXZ4','report','ada','succeeded',7,1,1,3,0,3,'default',0,1769860800000,1769860802000,1769860800000,NULL,1769860800000,1769860802000,NULL,NULL,1772452802000,2592000000,NULL,NULL,'{"fraction": 0.5, "current": 1, "total": 2, "unit": "pages", "message": "half", "stage": "printing"}',6,1,1769860801000,3,90,'{"was": "succeeded"}',NULL,'succeeded','674cf1cebb94b1928773bb0e7adb16e93dc15e85a16b9092ce8de7db666b71ea',NULL,NULL,'[200, "application/json", [["x-pages", "6"]], null, 76, "\"abc\""]',X'7B22736865657473223A362C227469746C65223A22705C7530306534676573206F6E206134222C22746F6E65223A22706C61696E222C227465616D223A227465616D206F6620616461227D',NULL,'{"v":1,"path":{"paper": "a4"},"query":[["copies", "2"]],"depends":{"asking": "{\"name\":\"ada\",\"team\":\"team of ada\"}"},"type":"application/json","body":"{\"pages\":3,\"title\":\"p\u00e4ges\"}"}',NULL,NULL);
INSERT INTO "operations" VALUES('op_06E17V4Y03WS0YD8XB3F0MFTRKK2P5ZP','report','ada','cancelled',4,1,1,3,0,3,'default',0,1769860800000,1769860801000,1769860800000,NULL,1769860800000,1769860801000,1769860801000,NULL,1772452801000,2592000000,NULL,NULL,NULL,0,0,NULL,0,0,'{"was": "cancelled"}',NULL,'cancelled','674cf1cebb94b1928773bb0e7adb16e93dc15e85a16b9092ce8de7db666b71ea',NULL,NULL,NULL,NULL,NULL,'{"v":1,"path":{"paper": "a4"},"query":[["copies", "2"]],"depends":{"asking": "{\"name\":\"ada\",\"team\":\"team of ada\"}"},"type":"application/json","body":"{\"pages\":3,\"title\":\"p\u00e4ges\"}"}',NULL,NULL);
INSERT INTO "operations" VALUES('op_06E17V4Y02Z8XCHW6M6PXZ0K3ANS4XD0','report','ada','queued',1,0,0,3,0,3,'default',0,1769860800000,1769860800000,1769947200000,1769947200000,NULL,NULL,NULL,NULL,NULL,2592000000,NULL,NULL,NULL,0,0,NULL,0,0,'{"was": "scheduled"}',NULL,'scheduled','674cf1cebb94b1928773bb0e7adb16e93dc15e85a16b9092ce8de7db666b71ea',NULL,NULL,NULL,NULL,NULL,'{"v":1,"path":{"paper": "a4"},"query":[["copies", "2"]],"depends":{"asking": "{\"name\":\"ada\",\"team\":\"team of ada\"}"},"type":"application/json","body":"{\"pages\":3,\"title\":\"p\u00e4ges\"}"}',NULL,NULL);
INSERT INTO "operations" VALUES('op_06E17V4Y026425BXMMKTXCP827NRGGQX','report','ada','queued',1,0,0,3,0,3,'default',0,1769860800000,1769860800000,1769860800000,NULL,NULL,NULL,NULL,1769868000000,NULL,2592000000,NULL,NULL,NULL,0,0,NULL,0,0,'{"was": "limited"}',NULL,'limited','674cf1cebb94b1928773bb0e7adb16e93dc15e85a16b9092ce8de7db666b71ea',NULL,NULL,NULL,NULL,NULL,'{"v":1,"path":{"paper": "a4"},"query":[["copies", "2"]],"depends":{"asking": "{\"name\":\"ada\",\"team\":\"team of ada\"}"},"type":"application/json","body":"{\"pages\":3,\"title\":\"p\u00e4ges\"}"}',NULL,NULL);
INSERT INTO "operations" VALUES('op_06E17V4Y03562XGE94JE1Z3SMM33EBVS','report','ada','failed',2,0,0,3,0,3,'default',0,1769860800000,1769860801000,1769860800000,NULL,NULL,1769860801000,NULL,1769860801000,1772452801000,2592000000,NULL,NULL,NULL,0,0,NULL,0,0,'{"was": "timed-out"}',NULL,'timed-out','674cf1cebb94b1928773bb0e7adb16e93dc15e85a16b9092ce8de7db666b71ea','{"code": "deadline-exceeded", "title": "The operation took longer than allowed", "status": 504, "detail": "The time limit of this operation passed before it finished. Submit it again with more time or less work.", "extensions": {}, "http_detail": null, "headers": []}',NULL,NULL,NULL,NULL,'{"v":1,"path":{"paper": "a4"},"query":[["copies", "2"]],"depends":{"asking": "{\"name\":\"ada\",\"team\":\"team of ada\"}"},"type":"application/json","body":"{\"pages\":3,\"title\":\"p\u00e4ges\"}"}',NULL,NULL);
INSERT INTO "operations" VALUES('op_06E17V4Y01JB4VGYYTNXRZZX1G1VVVEA','refused','ada','failed',3,1,1,1,0,3,'default',0,1769860800000,1769860801000,1769860800000,NULL,1769860800000,1769860801000,NULL,NULL,1772452801000,2592000000,NULL,NULL,NULL,0,0,NULL,0,0,'{"was": "failed"}',NULL,'failed','9bc765d45f8e56b78848c69018eff7cfba4666438515b289dc304083dfe21e67','{"code": "out-of-paper", "title": "The printer has no paper", "status": 409, "detail": null, "extensions": {"tray": 2}, "http_detail": null, "headers": []}',NULL,NULL,NULL,NULL,'{"v":1,"type":"application/json","body":"{\"pages\":3,\"title\":\"p\u00e4ges\"}"}',NULL,NULL);
INSERT INTO "operations" VALUES('op_06E17V4Y00WE91YYKP9SRA2YRWH9J84Y','refused','ada','failed',3,1,1,1,0,3,'default',0,1769860800000,1769860801000,1769860800000,NULL,1769860800000,1769860801000,NULL,NULL,1772452801000,2592000000,NULL,NULL,NULL,0,0,NULL,0,0,'{"was": "failed-http"}',NULL,'failed-http','9bc765d45f8e56b78848c69018eff7cfba4666438515b289dc304083dfe21e67','{"code": "http-error", "title": "Conflict", "status": 409, "detail": null, "extensions": {}, "http_detail": "{\"tray\": 2}", "headers": [["x-tray", "2"]]}',NULL,NULL,NULL,NULL,'{"v":1,"type":"application/json","body":"{\"pages\":3,\"title\":\"p\u00e4ges\"}"}',NULL,NULL);
INSERT INTO "operations" VALUES('op_06E17V4Y025CA1DAC4KT8VE2W0S63SSG','upload','ada','queued',1,0,0,1,0,3,'default',0,1769860800000,1769860800000,1769860800000,NULL,NULL,NULL,NULL,NULL,NULL,2592000000,NULL,NULL,NULL,0,0,NULL,0,0,'{"was": "uploaded"}',NULL,'uploaded','aa241527d5d9f430e8af8a8881567d1cac3e768fbe34385e1dd038a815a68a9b',NULL,NULL,NULL,NULL,NULL,'{"v":1,"form":[["title", "a copy"], ["file", {"filename": "t\u00e4xt.txt", "size": 14, "headers": [["content-disposition", "form-data; name=\"file\"; filename=\"t\u00c3\u00a4xt.txt\""], ["content-type", "text/plain"]], "blob": "file-0"}]],"files":["file-0"]}',NULL,NULL);
INSERT INTO "operations" VALUES('op_06E17V4Y02PSPEDTY3GGSWZ82SB4TN85','upload','ada','succeeded',3,1,1,1,0,3,'default',0,1769860800000,1769860801000,1769860800000,NULL,1769860800000,1769860801000,NULL,NULL,1772452801000,2592000000,NULL,NULL,NULL,0,0,NULL,0,0,'{"was": "copied"}',NULL,'copied','aa241527d5d9f430e8af8a8881567d1cac3e768fbe34385e1dd038a815a68a9b',NULL,NULL,'[200, "text/plain", [["content-disposition", "attachment; filename=\"copy.txt\""]], "op_06E17V4Y02PSPEDTY3GGSWZ82SB4TN85/1/result", 24, "\"bc0665d497e0032586ff573afa15d38dbc9d438c87b88a377f570aabc8ed50e9\""]',NULL,NULL,'{"v":1,"form":[["title", "a copy"], ["file", {"filename": "t\u00e4xt.txt", "size": 14, "headers": [["content-disposition", "form-data; name=\"file\"; filename=\"t\u00c3\u00a4xt.txt\""], ["content-type", "text/plain"]], "blob": "file-0"}]],"files":["file-0"]}',NULL,NULL);
INSERT INTO "operations" VALUES('op_06E17V4Y00T7EHY548K7ZP1HMJEVV1J3','report','ada','running',2,1,1,3,0,3,'default',0,1769860800000,1769860800000,1769860800000,NULL,1769860800000,NULL,NULL,NULL,NULL,2592000000,'frozen-worker',1769860815000,NULL,0,0,NULL,0,0,'{"was": "calls-pending"}',NULL,'calls-pending','674cf1cebb94b1928773bb0e7adb16e93dc15e85a16b9092ce8de7db666b71ea',NULL,NULL,NULL,NULL,'["https://hooks.example.invalid/pending", ["operation.started", "operation.failed", "operation.succeeded"]]','{"v":1,"path":{"paper": "a4"},"query":[["copies", "2"]],"depends":{"asking": "{\"name\":\"ada\",\"team\":\"team of ada\"}"},"type":"application/json","body":"{\"pages\":3,\"title\":\"p\u00e4ges\"}"}',NULL,NULL);
INSERT INTO "operations" VALUES('op_06E17V4Y00WFNAS9F2KH5C892BH9FFRB','report','ada','running',2,1,1,3,0,3,'default',0,1769860800000,1769860800000,1769860800000,NULL,1769860800000,NULL,NULL,NULL,NULL,2592000000,'frozen-worker',1769860815000,NULL,0,0,NULL,0,0,'{"was": "calls-sending"}',NULL,'calls-sending','674cf1cebb94b1928773bb0e7adb16e93dc15e85a16b9092ce8de7db666b71ea',NULL,NULL,NULL,NULL,'["https://hooks.example.invalid/sending", ["operation.started", "operation.failed", "operation.succeeded"]]','{"v":1,"path":{"paper": "a4"},"query":[["copies", "2"]],"depends":{"asking": "{\"name\":\"ada\",\"team\":\"team of ada\"}"},"type":"application/json","body":"{\"pages\":3,\"title\":\"p\u00e4ges\"}"}',NULL,NULL);
INSERT INTO "operations" VALUES('op_06E17V4Y02B2SVEHF0GXPKX0MMG8NQEP','report','ada','running',2,1,1,3,0,3,'default',0,1769860800000,1769860800000,1769860800000,NULL,1769860800000,NULL,NULL,NULL,NULL,2592000000,'frozen-worker',1769860815000,NULL,0,0,NULL,0,0,'{"was": "calls-paused"}',NULL,'calls-paused','674cf1cebb94b1928773bb0e7adb16e93dc15e85a16b9092ce8de7db666b71ea',NULL,NULL,NULL,NULL,'["https://hooks.example.invalid/paused", ["operation.started", "operation.failed", "operation.succeeded"]]','{"v":1,"path":{"paper": "a4"},"query":[["copies", "2"]],"depends":{"asking": "{\"name\":\"ada\",\"team\":\"team of ada\"}"},"type":"application/json","body":"{\"pages\":3,\"title\":\"p\u00e4ges\"}"}',NULL,NULL);
INSERT INTO "operations" VALUES('op_06E17V4Y00RGB8K82DZ8RG8HM8HSH2ZG','report','ada','running',2,1,1,3,0,3,'default',0,1769860800000,1769860800000,1769860800000,NULL,1769860800000,NULL,NULL,NULL,NULL,2592000000,'frozen-worker',1769860815000,NULL,0,0,NULL,0,0,'{"was": "calls-delivered"}',NULL,'calls-delivered','674cf1cebb94b1928773bb0e7adb16e93dc15e85a16b9092ce8de7db666b71ea',NULL,NULL,NULL,NULL,'["https://hooks.example.invalid/delivered", ["operation.started", "operation.failed", "operation.succeeded"]]','{"v":1,"path":{"paper": "a4"},"query":[["copies", "2"]],"depends":{"asking": "{\"name\":\"ada\",\"team\":\"team of ada\"}"},"type":"application/json","body":"{\"pages\":3,\"title\":\"p\u00e4ges\"}"}',NULL,NULL);
INSERT INTO "operations" VALUES('op_06E17V4Y00GB19091HFDGPS51WD3RM78','report','ada','running',2,1,1,3,0,3,'default',0,1769860800000,1769860800000,1769860800000,NULL,1769860800000,NULL,NULL,NULL,NULL,2592000000,'frozen-worker',1769860815000,NULL,0,0,NULL,0,0,'{"was": "calls-given-up"}',NULL,'calls-given-up','674cf1cebb94b1928773bb0e7adb16e93dc15e85a16b9092ce8de7db666b71ea',NULL,NULL,NULL,NULL,'["https://hooks.example.invalid/given-up", ["operation.started", "operation.failed", "operation.succeeded"]]','{"v":1,"path":{"paper": "a4"},"query":[["copies", "2"]],"depends":{"asking": "{\"name\":\"ada\",\"team\":\"team of ada\"}"},"type":"application/json","body":"{\"pages\":3,\"title\":\"p\u00e4ges\"}"}',NULL,NULL);
INSERT INTO "operations" VALUES('op_06E17V59Q3HGVC681YA0W9A1M1ED2F3J','refused','ada','queued',1,0,0,1,0,3,'default',0,1769860803000,1769860803000,1769860803000,NULL,NULL,NULL,NULL,NULL,NULL,2592000000,NULL,NULL,NULL,0,0,NULL,0,0,'{"was": "failed"}','op_06E17V4Y01JB4VGYYTNXRZZX1G1VVVEA','rerun','rerun:op_06E17V4Y01JB4VGYYTNXRZZX1G1VVVEA',NULL,NULL,NULL,NULL,NULL,'{"v":1,"type":"application/json","body":"{\"pages\":3,\"title\":\"p\u00e4ges\"}"}',NULL,NULL);
CREATE TABLE tickets (
    digest    TEXT PRIMARY KEY NOT NULL,
    operation TEXT NOT NULL,
    owner     TEXT NOT NULL,
    used      INTEGER NOT NULL,
    until     INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "tickets" VALUES('17893c401bfcec50cf16cb24659da0a5a3d508062c615eabf1fcbb704dd03452','op_06E17V4Y03VJEPGYQKRA7NZW8VH3BQ13','ada',0,1769947200000);
INSERT INTO "tickets" VALUES('6db269870a0852e7d3824ab01761cb3b39e16d9eec47fdec053b97db3777385f','op_06E17V4Y03VJEPGYQKRA7NZW8VH3BQ13','ada',1,1769947200000);
CREATE TABLE tombstones (
    id              TEXT PRIMARY KEY NOT NULL,
    owner           TEXT NOT NULL,
    kind            TEXT NOT NULL,
    reason          TEXT NOT NULL,
    idempotency_key TEXT,
    until           INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "tombstones" VALUES('op_06E17V4Y035CEQP7AF7BFZ7SX6MTDP22','ada','report','deleted','deleted',1770465600000);
INSERT INTO "tombstones" VALUES('op_06E17V4Y03CEY1MGVCGZ3WMQBETTGR7Q','ada','report','expired','expired',1770465600000);
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
CREATE INDEX operations_dispatch ON operations (dispatch_at) WHERE status = 'queued' AND dispatch_at IS NOT NULL;
CREATE INDEX operations_queued_changed ON operations (updated_at) WHERE status = 'queued';
COMMIT;
PRAGMA user_version = 3;
PRAGMA application_id = 1380010318;
