-- id: incidents
-- summary: What happened, the gravest first, in plain words.
-- parameters: run = latest, stream = *, limit = 50
-- reads: incidents
SELECT stream, incident, severity, kind, cause, status, scope, class, side, from_time, until_time, series, series_total, rows, message
FROM incidents
WHERE run = $run AND $stream IN ('*', stream)
ORDER BY stream, incident
LIMIT $limit
