-- id: coverage
-- summary: What each series and side covers in time, and what of it is missing.
-- parameters: run = latest, stream = *
-- reads: spans, gaps
-- One aggregation over both tables rather than a join, so that a series without any span, or without any gap, keeps its line.
WITH pieces AS (
    SELECT stream, nullif(series, '') AS series, side, 1 AS spans, 0 AS gaps, from_time, until_time, rows, 0 AS missing_estimate
    FROM spans
    WHERE run = $run AND $stream IN ('*', stream) AND kind = 'time'
    UNION ALL
    SELECT stream, nullif(series, ''), side, 0, 1, NULL, NULL, 0, missing_estimate
    FROM gaps
    WHERE run = $run AND $stream IN ('*', stream) AND kind = 'time'
)
SELECT
    stream,
    series,
    side,
    min(from_time) AS from_time,
    max(until_time) AS until_time,
    sum(rows) AS rows,
    sum(spans) AS spans,
    sum(gaps) AS gaps,
    sum(missing_estimate) AS missing_estimate
FROM pieces
GROUP BY stream, series, side
ORDER BY stream, series, CASE side WHEN 'original' THEN 0 WHEN 'backfill' THEN 1 ELSE 2 END
