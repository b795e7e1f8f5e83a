UPDATE operations SET
    status = ?, version = ?, run = ?, attempt = ?, losses = ?, updated_at = ?, run_at = ?, started_at = ?,
    finished_at = ?, cancel_requested_at = ?, expires_at = ?, worker = ?, lease_until = ?, progress = ?,
    progress_version = ?, progress_run = ?, progress_at = ?, output_events = ?, output_bytes = ?, error = ?,
    traceback = ?, result = ?, result_body = ?
WHERE id = ?
