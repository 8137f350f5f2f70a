-- id: local_time
-- summary: a local time of which nobody can say which instant it is
-- why: Kinds: ambiguous, clocks went back over it, so that it comes twice; nonexistent, clocks went forward over it, so
--   that no clock showed it. Such a value is compared as NULL. As an event time it puts its row into no window, so that
--   there may be a gap where the row belongs.
-- grain: cell
-- severity: error
-- repair: Say which of the two is meant with the side's option ambiguous=earliest or ambiguous=latest, write times with
--   their offset, or repair the time or the time_zone.
-- reads: local_times
-- message: {side}: {key}: the local time {written} in '{column_name}' {said} in {time_zone}

SELECT
  ordinal, kind, side, series, key, column_name, original_value, backfill_value, from_time, window_start, window_end,
  1 AS rows, written, time_zone,
  CASE kind WHEN 'ambiguous' THEN 'comes twice (clocks go back)' ELSE 'does not exist (clocks go forward)' END AS said
FROM local_times
