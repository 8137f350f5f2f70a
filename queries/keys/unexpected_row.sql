-- id: unexpected_row
-- summary: a row that the backfill holds more often than the original (keyless)
-- why: Without a key whole rows are compared, with how often they come.
-- grain: row
-- severity: error
-- repair: Remove the row, or find out why the original lacks it.
-- reads: differences
-- message: the backfill has {rows} too many of this row: {backfill_value}

SELECT ordinal, side, series, rows, backfill_value, window_start, window_end, from_time, until_time
FROM differences
WHERE class = 'unexpected_row'
