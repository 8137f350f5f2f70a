-- id: duplicates
-- summary: Duplicated keys by kind and side: keys, copies, and one example.
-- parameters: run = latest, stream = *
-- reads: finding_counts
SELECT
    stream,
    kind,
    side,
    severity,
    sum(keys) AS keys,
    sum(rows) AS copies,
    min(example_key) AS example_key
FROM finding_counts
WHERE run = $run AND $stream IN ('*', stream) AND check = 'duplicate_key'
GROUP BY stream, kind, side, severity
ORDER BY CASE severity WHEN 'error' THEN 0 WHEN 'warn' THEN 1 ELSE 2 END, sum(rows) DESC, stream, kind, side
