-- id: missing_row
-- summary: a row that the original holds more often than the backfill (keyless)
-- why: Without a key whole rows are compared, with how often they come.
-- grain: row
-- severity: error
-- repair: Collect the window of the row again.
-- reads: differences
-- message: the backfill lacks {rows} of this row: {original_value}

SELECT ordinal, side, series, rows, original_value, window_start, window_end, from_time, until_time
FROM differences
WHERE class = 'missing_row'
