-- id: cadence_changed
-- summary: a series whose cadence changes
-- why: From here on rows come at another rate: a setting was changed, or a producer was replaced. It is one change,
--   not a gap at every row.
-- grain: series
-- severity: warn
-- repair: Check that the change was meant.
-- reads: cadences
-- message: {series} changes from a row every {cadence_before} to one every {cadence} at {from_time}; from then on a
--   silence longer than {max_silence} is a gap

SELECT
  series, from_time, cadence, cadence_before, max_silence, CAST(steps AS BIGINT) AS rows,
  cadence_before AS original_value, cadence AS backfill_value
FROM cadences
WHERE kind = 'changed'
