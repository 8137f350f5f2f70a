-- id: missing_key
-- summary: a key of the original that the backfill does not have
-- why: The row was lost on the way.
-- grain: key
-- severity: error
-- repair: Collect the key again, or the window it lies in.
-- reads: differences
-- message: {key} is on the original only ({rows} rows)

SELECT ordinal, side, series, key, rows, window_start, window_end, from_time, until_time
FROM differences
WHERE class = 'missing_key'
