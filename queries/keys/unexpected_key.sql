-- id: unexpected_key
-- summary: a key of the backfill that the original does not have
-- why: The backfill holds what was never recorded, or what the original lost.
-- grain: key
-- severity: error
-- repair: Check which side is right; if the original lost it, use --mode fill.
-- reads: differences
-- message: {key} is on the backfill only ({rows} rows)

SELECT ordinal, side, series, key, rows, window_start, window_end, from_time, until_time
FROM differences
WHERE class = 'unexpected_key'
