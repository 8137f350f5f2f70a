-- id: open_gaps
-- summary: Gaps that are still there, on the sides that are judged, the longest first.
-- parameters: run = latest, stream = *
-- reads: gaps, streams
-- In `fill` the recovered stream is judged: what became of the original's own gaps is @gaps_filled.
SELECT
    g.stream,
    g.series,
    g.side,
    g.kind,
    g.from_time,
    g.until_time,
    g.from_sequence,
    g.until_sequence,
    g.duration_ms,
    g.missing_estimate
FROM gaps g
LEFT JOIN streams s ON s.run = g.run AND s.stream = g.stream
WHERE g.run = $run AND $stream IN ('*', g.stream)
    AND coalesce(g.status, 'open') IN ('open', 'partly_filled')
    AND (coalesce(s.mode, '') <> 'fill' OR g.side = 'recovered')
ORDER BY g.duration_ms DESC NULLS LAST, g.missing_estimate DESC NULLS LAST, g.stream, g.series, g.side, g.from_time, g.from_sequence
