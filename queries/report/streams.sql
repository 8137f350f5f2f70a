-- id: streams
-- summary: The streams of a run: verdict, reason and counts.
-- parameters: run = latest, stream = *
-- reads: streams
SELECT
    stream,
    mode,
    verdict,
    reason,
    original_rows,
    backfill_rows,
    matched_keys,
    missing_keys,
    unexpected_keys,
    mismatched_keys,
    duplicate_keys,
    gaps
FROM streams
WHERE run = $run AND $stream IN ('*', stream)
ORDER BY CASE verdict WHEN 'fail' THEN 0 WHEN 'incomplete' THEN 1 ELSE 2 END, stream
