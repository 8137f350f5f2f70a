-- id: unexpected_series
-- summary: a series of the backfill that the original does not have at all
-- why: It came from elsewhere, or its name was written differently.
-- grain: series
-- severity: warn
-- repair: Check where it comes from, and how it is spelled on the original.
-- reads: series_facts
-- message: the original has no row of {series}, the backfill has {rows}

SELECT side, series, rows, from_time, until_time
FROM series_facts
WHERE kind = 'unexpected_series'
