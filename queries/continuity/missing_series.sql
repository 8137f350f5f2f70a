-- id: missing_series
-- summary: a series of the original that the backfill does not have at all
-- why: Nothing of it was collected again, so that no gap inside it can be seen.
-- grain: series
-- severity: error
-- repair: Collect the whole series again.
-- reads: series_facts
-- message: the backfill has no row of {series}, the original has {rows}

SELECT side, series, rows, from_time, until_time
FROM series_facts
WHERE kind = 'missing_series'
