-- id: row_outside_outage
-- summary: rows of the backfill that lie outside the named outage
-- why: Where live data is whole, a row that was collected again can only repeat it or contradict it; and where it
--   is new, the outage was longer than was said.
-- grain: series
-- severity: info
-- repair: Nothing where they overlap by design; else correct the outage, or collect no more than it.
-- reads: outages
-- message: backfill: {series} has {rows} rows outside the outage: {rows_before} before it, {rows_after} after it

SELECT 'backfill' AS side, series, CAST(rows AS BIGINT) AS rows, rows_before, rows_after, from_time, until_time
FROM outages
WHERE kind = 'outside'
