-- id: cadence_learned
-- summary: the cadence that was learned from the rows of a series
-- why: Gaps are judged by it. A wrong one hides gaps or makes them up, so it is said.
-- grain: series
-- severity: info
-- repair: Say it with --cadence where it is wrong.
-- reads: cadences
-- message: {series} has a row every {cadence}, learned from {steps} steps; a silence longer than {max_silence} is a
--   gap

SELECT series, from_time, cadence, max_silence, CAST(steps AS BIGINT) AS rows, steps, cadence AS original_value
FROM cadences
WHERE kind = 'learned'
