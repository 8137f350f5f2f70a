-- id: rule_unknown
-- summary: a row for which a rule is neither true nor false but NULL
-- why: A NULL in the expression: the rule says nothing about the row, which is not the same as fulfilling it.
-- grain: row
-- severity: warn
-- repair: Write the rule so that it decides, for instance with IS NOT NULL or COALESCE.
-- reads: violations
-- message: {side}: {key} is undecided under the rule {kind}: {expression}

SELECT ordinal, rule AS kind, side, series, key, from_time, window_start, window_end, expression
FROM violations
WHERE kind = 'unknown'
