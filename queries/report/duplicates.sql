-- id: duplicates
-- summary: Duplicated keys by kind and side: keys, copies, and one example.
-- parameters: run = latest, stream = *
-- reads: findings
SELECT
    stream,
    kind,
    side,
    severity,
    count(DISTINCT key) AS keys,
    sum(rows) AS copies,
    min(key) AS example_key
FROM findings
WHERE run = $run AND $stream IN ('*', stream) AND check = 'duplicate_key'
GROUP BY stream, kind, side, severity
ORDER BY CASE severity WHEN 'error' THEN 0 WHEN 'warn' THEN 1 ELSE 2 END, sum(rows) DESC, stream, kind, side
