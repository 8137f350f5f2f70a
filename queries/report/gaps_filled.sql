-- id: gaps_filled
-- summary: What became of the original's gaps in the streams that were filled.
-- parameters: run = latest, stream = *
-- reads: gaps, streams
SELECT
    g.stream,
    g.series,
    g.kind,
    g.status,
    g.from_time,
    g.until_time,
    g.from_sequence,
    g.until_sequence,
    g.duration_ms,
    g.missing_estimate
FROM gaps g
JOIN streams s ON s.run = g.run AND s.stream = g.stream
WHERE g.run = $run AND $stream IN ('*', g.stream) AND s.mode = 'fill' AND g.side = 'original'
ORDER BY
    CASE g.status WHEN 'open' THEN 0 WHEN 'partly_filled' THEN 1 ELSE 2 END,
    g.stream, g.series, g.kind, g.from_time, g.from_sequence
