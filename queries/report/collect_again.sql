-- id: collect_again
-- summary: Ranges to collect again, per stream, series and side, joined where they touch.
-- parameters: run = latest, stream = *
-- reads: finding_counts, streams
-- `side` is the side that lacks the range. Ranges are half-open. A finding about a key stands for its window; one that has neither a
-- range nor a window gives a line without a range: the whole stream. Copies too many are taken out, not collected (see @duplicates);
-- in `replica`, a copy that only the original has is a copy that the backfill lost.
WITH wanted AS (
    SELECT
        f.stream,
        nullif(f.series, '') AS series,
        CASE
            WHEN f.side IS NOT NULL AND f.check IN ('gap', 'sequence_gap', 'seam_gap', 'short_window') THEN f.side
            WHEN f.check IN ('gap', 'sequence_gap', 'seam_gap') THEN 'recovered'
            WHEN f.check IN ('unexpected_key', 'unexpected_row') THEN 'original'
            ELSE 'backfill'
        END AS side,
        CASE WHEN f.kind = 'surplus' THEN 'lost_copy' ELSE f.check END AS reason,
        CASE
            WHEN f.check IN ('gap', 'seam_gap', 'sequence_gap') THEN f.from_time
            ELSE coalesce(f.window_start, f.from_time)
        END AS from_time,
        CASE
            WHEN f.check IN ('gap', 'seam_gap', 'sequence_gap') THEN f.until_time
            ELSE coalesce(f.window_end, f.until_time)
        END AS until_time,
        CASE WHEN f.check = 'sequence_gap' THEN f.from_sequence END AS from_sequence,
        CASE WHEN f.check = 'sequence_gap' THEN f.until_sequence END AS until_sequence,
        f.findings
    FROM finding_counts f
    LEFT JOIN streams s ON s.run = f.run AND s.stream = f.stream
    WHERE f.run = $run AND $stream IN ('*', f.stream)
        AND NOT coalesce(f.accepted, false)
        AND (
            f.check IN ('gap', 'sequence_gap', 'seam_gap', 'short_window', 'missing_series', 'missing_key', 'missing_row',
                        'unexpected_key', 'unexpected_row', 'value_mismatch')
            OR (f.check = 'duplicate_key' AND f.kind = 'conflict')
            OR (f.check = 'duplicate_key' AND f.kind = 'surplus' AND f.side = 'original' AND s.mode = 'replica')
        )
), reached AS (
    -- How far the ranges before this one reach: NULL for the first of a series.
    SELECT
        *,
        max(until_time) OVER (
            PARTITION BY stream, series, side ORDER BY from_time, until_time
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS reached
    FROM wanted
    WHERE from_sequence IS NULL AND from_time IS NOT NULL AND until_time IS NOT NULL
), numbered AS (
    SELECT
        *,
        sum(CASE WHEN reached IS NULL OR from_time > reached THEN 1 ELSE 0 END) OVER (
            PARTITION BY stream, series, side ORDER BY from_time, until_time
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS stretch
    FROM reached
), ranges AS (
    SELECT
        stream,
        series,
        side,
        min(from_time) AS from_time,
        max(until_time) AS until_time,
        NULL AS from_sequence,
        NULL AS until_sequence,
        sum(findings) AS findings,
        string_agg(DISTINCT reason, ', ' ORDER BY reason) AS reasons
    FROM numbered
    GROUP BY stream, series, side, stretch
    UNION ALL
    SELECT stream, series, side, NULL, NULL, from_sequence, until_sequence, sum(findings), 'sequence_gap'
    FROM wanted
    WHERE from_sequence IS NOT NULL
    GROUP BY stream, series, side, from_sequence, until_sequence
    UNION ALL
    SELECT stream, series, side, NULL, NULL, NULL, NULL, sum(findings), string_agg(DISTINCT reason, ', ' ORDER BY reason)
    FROM wanted
    WHERE from_sequence IS NULL AND (from_time IS NULL OR until_time IS NULL)
    GROUP BY stream, series, side
)
SELECT stream, series, side, from_time, until_time, from_sequence, until_sequence, findings, reasons
FROM ranges
ORDER BY stream, series NULLS FIRST, side, from_time NULLS LAST, from_sequence NULLS LAST
