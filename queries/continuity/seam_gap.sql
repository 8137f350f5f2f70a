-- id: seam_gap
-- summary: between the end of one side and the beginning of the other something is missing
-- why: The recovered stream has a hole exactly where the sides should meet: the backfill began too late or
--   ended too early.
-- grain: range
-- severity: error
-- repair: Collect again from the end of the side before to the beginning of the side after.
-- reads: seams
-- message: {series}: the {side_before} ends and the {side_after} begins later, from {range_from} to
--   {range_until}

SELECT
  series, from_time, until_time, from_sequence, until_sequence, before AS side_before, after AS side_after,
  before || ' to ' || after AS kind,
  COALESCE(CAST(from_sequence AS VARCHAR), CAST(from_time AS VARCHAR)) AS range_from,
  COALESCE(CAST(until_sequence AS VARCHAR), CAST(until_time AS VARCHAR)) AS range_until
FROM seams
WHERE kind = 'gap'
