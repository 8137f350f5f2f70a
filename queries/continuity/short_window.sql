-- id: short_window
-- summary: a window in which one side has fewer rows than the other
-- why: It is the first place to look: rows were lost or came twice here. Judged only for a window that was
--   asked for.
-- grain: window
-- severity: warn
-- repair: See the keys of the window (findings with the same window_start).
-- reads: windows, stream
-- message: {side}: {series} has {rows} rows fewer than the other side from {window_start} to {window_end}

SELECT
  series, window_start, window_end,
  CASE WHEN original_rows < backfill_rows THEN 'original' ELSE 'backfill' END AS side,
  abs(original_rows - backfill_rows) AS rows,
  CAST(original_rows AS VARCHAR) AS original_value, CAST(backfill_rows AS VARCHAR) AS backfill_value
FROM windows
CROSS JOIN stream
WHERE stream.mode = 'replica' AND stream.window IS NOT NULL AND window_start IS NOT NULL
  AND original_rows > 0 AND backfill_rows > 0 AND original_rows <> backfill_rows
  AND (stream.expect IS DISTINCT FROM 'like_original')
