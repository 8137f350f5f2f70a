-- id: late_row
-- summary: rows that arrived after their window was complete
-- why: Whoever read the window when it was complete (its end and the grace had passed) read it without them. The
--   table windows has the lateness of each.
-- grain: series
-- severity: warn
-- repair: Read the windows again that were used before, or give more grace.
-- reads: windows
-- message: {side}: {series} has {rows} rows that arrived after their window was complete, up to {lateness} ms after
--   their event time, in windows from {from_time} to {until_time}

SELECT
  'original' AS side, series, CAST(sum(original_late_rows) AS BIGINT) AS rows, CAST(max(original_lateness_ms) AS BIGINT) AS lateness,
  min(window_start) AS from_time, max(window_end) AS until_time
FROM windows
WHERE original_late_rows > 0
GROUP BY series
UNION ALL
SELECT
  'backfill' AS side, series, CAST(sum(backfill_late_rows) AS BIGINT) AS rows, CAST(max(backfill_lateness_ms) AS BIGINT) AS lateness,
  min(window_start) AS from_time, max(window_end) AS until_time
FROM windows
WHERE backfill_late_rows > 0
GROUP BY series
