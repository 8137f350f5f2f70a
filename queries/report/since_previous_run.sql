-- id: since_previous_run
-- summary: Findings per check in a run and in the run of the same job before it.
-- parameters: run = latest, stream = *
-- reads: runs, checks
-- A job without a name is a job too: its runs follow each other.
WITH ordered AS (
    SELECT run, lag(run) OVER (PARTITION BY coalesce(job, '') ORDER BY started_at, run) AS previous FROM runs
), pieces AS (
    SELECT c.stream, c.check, o.previous, c.findings AS now, NULL AS before
    FROM checks c
    JOIN ordered o ON o.run = c.run
    WHERE c.run = $run AND $stream IN ('*', c.stream)
    UNION ALL
    SELECT c.stream, c.check, o.previous, NULL, c.findings
    FROM checks c
    JOIN ordered o ON o.previous = c.run
    WHERE o.run = $run AND $stream IN ('*', c.stream)
)
SELECT
    stream,
    check,
    max(previous) AS previous_run,
    max(before) AS findings_before,
    max(now) AS findings_now,
    coalesce(max(now), 0) - coalesce(max(before), 0) AS change
FROM pieces
GROUP BY stream, check
HAVING coalesce(max(now), 0) + coalesce(max(before), 0) > 0
ORDER BY abs(coalesce(max(now), 0) - coalesce(max(before), 0)) DESC, stream, check
