-- id: worst_windows
-- summary: Windows in which the sides differ most, by findings, then by rows.
-- parameters: run = latest, stream = *, limit = 20
-- reads: windows, finding_counts
-- One aggregation over both tables rather than a join, which would lose what has no series. A stream without series has NULL or the
-- empty text there, depending on the table: both mean the same.
WITH pieces AS (
    SELECT stream, nullif(series, '') AS series, window_start, window_end, original_rows, backfill_rows, status, 0 AS findings
    FROM windows
    WHERE run = $run AND $stream IN ('*', stream) AND status NOT IN ('match', 'empty')
    UNION ALL
    SELECT stream, nullif(series, ''), window_start, window_end, NULL, NULL, NULL, sum(findings)
    FROM finding_counts
    WHERE run = $run AND $stream IN ('*', stream) AND window_start IS NOT NULL AND NOT coalesce(accepted, false)
    GROUP BY stream, nullif(series, ''), window_start, window_end
), totals AS (
    SELECT
        stream,
        series,
        window_start,
        window_end,
        max(status) AS status,
        max(original_rows) AS original_rows,
        max(backfill_rows) AS backfill_rows,
        coalesce(max(backfill_rows), 0) - coalesce(max(original_rows), 0) AS row_difference,
        sum(findings) AS findings
    FROM pieces
    GROUP BY stream, series, window_start, window_end
)
SELECT stream, series, window_start, window_end, status, original_rows, backfill_rows, row_difference, findings
FROM totals
ORDER BY findings DESC, abs(row_difference) DESC, stream, series, window_start
LIMIT $limit
