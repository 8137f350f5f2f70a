-- id: duplicate_key
-- summary: a key that comes more than once
-- why: Kinds: surplus, copies equal to a row that is there already (a replay, or on the original a lost
--   copy); conflict, copies that disagree; alike, held by both sides alike; replay, in a fill collected again
--   as it was.
-- grain: key
-- severity: error
-- repair: Remove the copies that are too many; for a conflict decide which copy is right.
-- reads: differences, stream
-- message: {key} comes more than once: {kind}, {rows} rows

SELECT ordinal, kind, severity, side, series, key, rows, original_value, backfill_value, window_start, window_end, from_time, until_time,
  CASE WHEN key IS NULL THEN 'row' ELSE 'key' END AS grain
FROM differences
WHERE class = 'duplicate_key'
