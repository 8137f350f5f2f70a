-- id: seams
-- summary: Where live data and backfill meet in the streams that were filled, what does not join first.
-- parameters: run = latest, stream = *
-- reads: seams
SELECT
    s.stream,
    s.series,
    s.edge,
    s.kind,
    s.live_time,
    s.backfill_time,
    s.from_time,
    s.until_time,
    s.duration_ms,
    s.identical_keys,
    s.conflicting_keys
FROM seams s
WHERE s.run = $run AND $stream IN ('*', s.stream)
ORDER BY CASE s.kind WHEN 'gap' THEN 0 WHEN 'overlap' THEN 1 ELSE 2 END, s.stream, s.series, s.live_time, s.edge
