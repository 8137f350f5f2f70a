-- id: latest_findings
-- summary: The first findings of a run, the gravest first, with place and both values.
-- parameters: run = latest, stream = *, limit = 50
-- reads: findings
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
FROM findings
WHERE run = $run AND $stream IN ('*', stream) AND NOT coalesce(accepted, false)
ORDER BY
    CASE severity WHEN 'error' THEN 0 WHEN 'warn' THEN 1 ELSE 2 END,
    stream, check, series, coalesce(from_time, window_start), key, column_name, side
LIMIT $limit
