-- id: rule_violations
-- summary: Rules that rows broke, or that could not be told for a row, by side, with one example.
-- parameters: run = latest, stream = *
-- reads: finding_counts
WITH judged AS (
    SELECT
        stream,
        CASE WHEN check = 'rule_unknown' THEN kind ELSE check END AS rule,
        CASE WHEN check = 'rule_unknown' THEN 'unknown' ELSE 'broken' END AS outcome,
        side,
        severity,
        coalesce(rows, findings) AS rows,
        CASE WHEN accepted THEN findings ELSE 0 END AS accepted,
        example_key AS key,
        example_message AS message
    FROM finding_counts
    WHERE run = $run AND $stream IN ('*', stream) AND (kind = 'violation' OR check = 'rule_unknown')
), totals AS (
    SELECT
        stream,
        rule,
        outcome,
        side,
        severity,
        sum(rows) AS rows,
        sum(accepted) AS accepted,
        first_value(key ORDER BY key, message) AS example_key,
        first_value(message ORDER BY key, message) AS example_message
    FROM judged
    GROUP BY stream, rule, outcome, side, severity
)
SELECT stream, rule, outcome, side, severity, rows, accepted, example_key, example_message
FROM totals
ORDER BY
    CASE severity WHEN 'error' THEN 0 WHEN 'warn' THEN 1 ELSE 2 END,
    rows DESC, stream, rule, outcome, side
