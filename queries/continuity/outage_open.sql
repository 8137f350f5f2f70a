-- id: outage_open
-- summary: a series in which the named outage is not covered wholly
-- why: The outage is why there is a backfill. The gaps are findings of their own; this one says that they lie in
--   the outage.
-- grain: range
-- severity: warn
-- repair: Collect the range again for this series.
-- reads: outages
-- message: recovered: {series} does not cover the outage from {outage_from} to {outage_until}: rows are missing between
--   {from_time} and {until_time}

SELECT 'recovered' AS side, series, from_time, until_time, CAST(rows AS BIGINT) AS rows, outage_from, outage_until
FROM outages
WHERE kind = 'open'
