-- id: bounds_inferred
-- summary: the bounds were taken from the data
-- why: Loss before the first row or after the last is invisible then, on both sides alike.
-- grain: stream
-- severity: info
-- repair: Give the bounds with --from and --until.
-- reads: series_facts
-- message: bounds were taken from the data, per series from its first row to its last; over all {from_time}
--   to {until_time}: loss before and after is invisible

SELECT from_time, until_time
FROM series_facts
WHERE kind = 'bounds_inferred'
