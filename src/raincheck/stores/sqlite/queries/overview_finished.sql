-- What finished in the window, by bucket and by kind, with the counts and the durations at the nearest ranks.
-- `grouping` 0 is the whole window, 1 a bucket, 2 a kind. The newest :most rows are counted.
WITH finished AS MATERIALIZED (
    SELECT kind, status, (finished_at - :since) / :bucket AS bucket, finished_at - started_at AS took
    FROM operations
    WHERE finished_at IS NOT NULL AND finished_at >= :since
    ORDER BY finished_at DESC
    LIMIT :most
),
grouped AS (
    SELECT 0 AS grouping, '' AS name, status, took FROM finished
    UNION ALL
    SELECT 1, CAST(bucket AS TEXT), status, took FROM finished
    UNION ALL
    SELECT 2, kind, status, took FROM finished
),
ranked AS (
    SELECT
        grouping, name, status, took,
        row_number() OVER (PARTITION BY grouping, name, took IS NULL ORDER BY took) AS place,
        count(took) OVER (PARTITION BY grouping, name) AS timed
    FROM grouped
)
SELECT
    grouping,
    name,
    count(*) FILTER (WHERE status = 'succeeded'),
    count(*) FILTER (WHERE status = 'failed'),
    count(*) FILTER (WHERE status = 'cancelled'),
    max(took) FILTER (WHERE took IS NOT NULL AND place = (timed * 50 + 99) / 100),
    max(took) FILTER (WHERE took IS NOT NULL AND place = (timed * 95 + 99) / 100)
FROM ranked
GROUP BY grouping, name
