-- id: missing_series
-- summary: a series that the backfill does not have at all, or that was listed and is nowhere
-- why: Nothing of it was collected again, so that no gap inside it can be seen.
-- grain: series
-- severity: error
-- repair: Collect the whole series again.
-- reads: series_facts
-- message: {lead} {series}, {rest}

SELECT
  CASE kind WHEN 'missing_listed' THEN 'listed' END AS kind, side, series, rows, from_time, until_time,
  CASE kind WHEN 'missing_listed' THEN 'no side has a row of' ELSE 'the backfill has no row of' END AS lead,
  CASE kind WHEN 'missing_listed' THEN 'which the list has' ELSE 'the original has ' || CAST(rows AS VARCHAR) END AS rest
FROM series_facts
WHERE kind IN ('missing_series', 'missing_listed')
