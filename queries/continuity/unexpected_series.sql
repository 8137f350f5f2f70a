-- id: unexpected_series
-- summary: a series of the backfill that the original does not have at all, or that is not on the list
-- why: It came from elsewhere, or its name was written differently.
-- grain: series
-- severity: warn
-- repair: Check where it comes from, and how it is spelled on the original.
-- reads: series_facts
-- message: {lead} {series}, {rest}

SELECT
  CASE kind WHEN 'unexpected_listed' THEN 'listed' END AS kind, side, series, rows, from_time, until_time,
  CASE kind WHEN 'unexpected_listed' THEN 'the list has no' ELSE 'the original has no row of' END AS lead,
  CASE kind
    WHEN 'unexpected_listed' THEN 'the ' || side || ' has ' || CAST(rows AS VARCHAR) || ' rows of it'
    ELSE 'the backfill has ' || CAST(rows AS VARCHAR)
  END AS rest
FROM series_facts
WHERE kind IN ('unexpected_series', 'unexpected_listed')
