-- id: latest_findings
-- summary: The first findings of a run, the gravest first, with place and both values.
-- parameters: run = latest, stream = *, limit = 50
-- reads: findings
-- Of each severity the first as they are listed, which is the order of all outputs; so that the rest, which may be millions, is not read.
WITH first AS (
    SELECT * FROM (
        SELECT 0 AS weight, * FROM findings
        WHERE run = $run AND $stream IN ('*', stream) AND severity = 'error' AND NOT coalesce(accepted, false)
        LIMIT $limit
    )
    UNION ALL
    SELECT * FROM (
        SELECT 1 AS weight, * FROM findings
        WHERE run = $run AND $stream IN ('*', stream) AND severity = 'warn' AND NOT coalesce(accepted, false)
        LIMIT $limit
    )
    UNION ALL
    SELECT * FROM (
        SELECT 2 AS weight, * FROM findings
        WHERE run = $run AND $stream IN ('*', stream) AND severity = 'info' AND NOT coalesce(accepted, false)
        LIMIT $limit
    )
)
SELECT
    stream,
    check,
    kind,
    severity,
    side,
    series,
    coalesce(from_time, window_start) AS from_time,
    coalesce(until_time, window_end) AS until_time,
    key,
    column_name,
    original_value,
    backfill_value,
    rows,
    message
FROM first
ORDER BY weight, stream, check, series, coalesce(from_time, window_start), key, column_name, side
LIMIT $limit
