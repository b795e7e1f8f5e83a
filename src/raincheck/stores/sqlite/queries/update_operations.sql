-- All changed records of a batch; rows of NULL only fill the statement up, and match no id.
UPDATE operations SET
    status = column2, version = column3, run = column4, attempt = column5, losses = column6, updated_at = column7,
    run_at = column8, started_at = column9, finished_at = column10, cancel_requested_at = column11,
    expires_at = column12, worker = column13, lease_until = column14, progress = column15,
    progress_version = column16, progress_run = column17, progress_at = column18, output_events = column19,
    output_bytes = column20, error = column21, traceback = column22, result = column23, result_body = column24,
    dispatch_at = column25
FROM (VALUES {rows})
WHERE operations.id = column1
