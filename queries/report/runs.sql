-- id: runs
-- summary: All runs, the latest first, with their verdicts.
-- reads: runs, streams, finding_counts
WITH counted AS (
    SELECT run, count(*) AS streams, NULL AS findings FROM streams GROUP BY run
    UNION ALL
    SELECT run, NULL, sum(findings) FROM finding_counts WHERE NOT coalesce(accepted, false) GROUP BY run
), totals AS (
    SELECT run, max(streams) AS streams, max(findings) AS findings FROM counted GROUP BY run
)
SELECT
    r.run,
    r.job,
    r.started_at,
    r.finished_at,
    r.verdict,
    r.exit_code,
    coalesce(t.streams, 0) AS streams,
    coalesce(t.findings, 0) AS findings
FROM runs r
LEFT JOIN totals t ON t.run = r.run
ORDER BY r.started_at DESC NULLS LAST, r.run DESC
