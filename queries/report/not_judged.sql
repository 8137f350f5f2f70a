-- id: not_judged
-- summary: Checks that were not judged, and why: what a pass does not speak of.
-- parameters: run = latest, stream = *
-- reads: checks
SELECT stream, check, severity, reason
FROM checks
WHERE run = $run AND $stream IN ('*', stream) AND status = 'not_judged'
ORDER BY stream, CASE severity WHEN 'error' THEN 0 WHEN 'warn' THEN 1 ELSE 2 END, check
