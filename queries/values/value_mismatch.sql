-- id: value_mismatch
-- summary: a value that differs between the sides
-- why: The row is there on both sides, and one of the two is wrong.
-- grain: cell
-- severity: error
-- repair: Decide which side is right, and collect the row again.
-- reads: differences
-- message: {key}: '{column_name}' is {original_value} on the original and {backfill_value} on the backfill

SELECT ordinal, series, key, column_name, original_value, backfill_value, rows, window_start, window_end, from_time, until_time
FROM differences
WHERE class = 'value_mismatch'
