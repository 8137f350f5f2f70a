-- id: findings_by_check
-- summary: How many findings each check has, the gravest first.
-- parameters: run = latest, stream = *
-- reads: checks, finding_counts
-- The check's own count is complete; the stored findings may have been cut by --max-findings. A check whose findings have several
-- severities shows them on one line each, and its count on all of them.
WITH stored AS (
    SELECT
        stream,
        check,
        severity,
        sum(findings) AS kept,
        coalesce(sum(findings) FILTER (WHERE accepted), 0) AS set_aside
    FROM finding_counts
    WHERE run = $run AND $stream IN ('*', stream)
    GROUP BY stream, check, severity
), counted AS (
    SELECT stream, check, severity, status, findings
    FROM checks
    WHERE run = $run AND $stream IN ('*', stream) AND findings > 0
)
SELECT
    coalesce(s.stream, c.stream) AS stream,
    coalesce(s.check, c.check) AS check,
    coalesce(s.severity, c.severity) AS severity,
    c.status,
    c.findings,
    coalesce(s.kept, 0) AS stored,
    coalesce(s.set_aside, 0) AS accepted
FROM counted c
FULL JOIN stored s ON s.stream = c.stream AND s.check = c.check
ORDER BY
    CASE coalesce(s.severity, c.severity) WHEN 'error' THEN 0 WHEN 'warn' THEN 1 ELSE 2 END,
    coalesce(c.findings, s.kept) DESC,
    1, 2
