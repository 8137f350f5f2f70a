-- id: interruptions_by_series
-- summary: All runs: which series were interrupted, how often and how long, by cause.
-- parameters: stream = *, limit = 50
-- reads: diagnoses
-- A gap that several runs found counts once. Gaps without a time (of a sequence alone) count, and have no length.
WITH gaps AS (
    SELECT DISTINCT stream, series, cause, from_time, until_time, from_sequence, until_sequence
    FROM diagnoses
    WHERE subject IN ('gap', 'rows', 'sequence_gap') AND cause <> 'idle' AND $stream IN ('*', stream)
), ranked AS (
    SELECT
        stream,
        series,
        cause,
        count(*) AS gaps,
        sum(date_part('epoch', until_time) - date_part('epoch', from_time)) AS total_seconds,
        max(date_part('epoch', until_time) - date_part('epoch', from_time)) AS longest_seconds,
        max(from_time) AS latest
    FROM gaps
    GROUP BY stream, series, cause
)
SELECT stream, series, cause, gaps, total_seconds, longest_seconds, latest
FROM ranked
ORDER BY total_seconds DESC NULLS LAST, gaps DESC, stream, series, cause
LIMIT $limit
