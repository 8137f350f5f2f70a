-- id: null_key
-- summary: a row with a NULL in its key
-- why: A NULL identifies nothing. The row is compared all the same: NULL matches NULL.
-- grain: key
-- severity: error
-- repair: Repair the key at the source, or name another one with --key.
-- reads: differences
-- message: {key} has a NULL in its key ({rows} rows)

SELECT kind, severity, ordinal, side, series, key, rows, window_start, window_end, from_time, until_time
FROM differences
WHERE class = 'null_key'
