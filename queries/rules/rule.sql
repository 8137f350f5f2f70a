-- id: rule
-- summary: a row that breaks a rule of the job; reported under the name of the rule
-- why: A rule is a check that you wrote: a boolean SQL expression that every row must fulfil.
-- grain: row
-- severity: error
-- repair: Look at the rows named, or correct the rule.
-- reads: violations
-- message: {side}: {key} breaks the rule {check}: {expression}

SELECT ordinal, rule AS "check", kind, severity, side, series, key, from_time, window_start, window_end, expression
FROM violations
WHERE kind = 'violation'
