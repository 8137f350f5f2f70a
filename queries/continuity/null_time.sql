-- id: null_time
-- summary: rows without an event time
-- why: They belong to no window and no bounds. They are compared, but their continuity cannot be judged.
-- grain: series
-- severity: error
-- repair: Repair the event time at the source, or name another column with --time.
-- reads: series_facts
-- message: {side}: {rows} rows of {series} have no event time

SELECT side, series, rows
FROM series_facts
WHERE kind = 'null_time'
