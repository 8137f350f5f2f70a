-- id: diagnoses
-- summary: Each gap, column and slice with its cause and the evidence for it.
-- parameters: run = latest, stream = *, limit = 200
-- reads: diagnoses
SELECT
    stream,
    incident,
    subject,
    cause,
    side,
    series,
    coalesce(column_name, file) AS place,
    value,
    from_time,
    until_time,
    from_sequence,
    until_sequence,
    rows,
    of_rows,
    lift,
    evidence
FROM diagnoses
WHERE run = $run AND $stream IN ('*', stream)
ORDER BY stream, incident, subject, series, from_time, from_sequence, column_name, file, value
LIMIT $limit
