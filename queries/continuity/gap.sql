-- id: gap
-- summary: a stretch of time inside the bounds without rows
-- why: With a cadence: a silence longer than max_silence. Without one: a run of empty windows. Always one
--   range per series and side.
-- grain: range
-- severity: error
-- repair: Collect the range again for this series (gapless sql @collect_again).
-- reads: gaps
-- message: {side}: {series} has no rows from {from_time} to {until_time}, about {missing_estimate} missing

SELECT series, side, from_time, until_time, missing_estimate, missing_estimate AS rows
FROM gaps
WHERE judged AND kind = 'time' AND status = 'open'
