-- id: row_outside_bounds
-- summary: rows outside the bounds that were given
-- why: They are counted, and nothing else is said of them.
-- grain: stream
-- severity: info
-- repair: Widen --from and --until if they belong to the verdict.
-- reads: series_facts
-- message: {side}: {rows} rows lie outside the bounds and were not judged

SELECT side, series, rows
FROM series_facts
WHERE kind = 'row_outside_bounds'
