-- What finished in the window, by bucket and by kind, with the counts and the durations at the nearest ranks.
-- "part" 0 is the whole window, 1 a bucket, 2 a kind. The newest $3 rows are counted.
WITH finished AS MATERIALIZED (
    SELECT kind, status, (finished_at - $1::bigint) / $2::bigint AS bucket, finished_at - started_at AS took
    FROM {schema}.operations
    WHERE finished_at IS NOT NULL AND finished_at >= $1
    ORDER BY finished_at DESC
    LIMIT $3
),
grouped AS (
    SELECT 0 AS part, '' AS name, status, took FROM finished
    UNION ALL
    SELECT 1, bucket::text, status, took FROM finished
    UNION ALL
    SELECT 2, kind, status, took FROM finished
)
SELECT
    part,
    name,
    count(*) FILTER (WHERE status = 'succeeded'),
    count(*) FILTER (WHERE status = 'failed'),
    count(*) FILTER (WHERE status = 'cancelled'),
    percentile_disc(0.5) WITHIN GROUP (ORDER BY took),
    percentile_disc(0.95) WITHIN GROUP (ORDER BY took)
FROM grouped
GROUP BY part, name
