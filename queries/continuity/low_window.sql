-- id: low_window
-- summary: a window that holds fewer rows than it should
-- why: Rows were thinned out rather than cut off. What a window should hold is what the job expects: a number, the
--   original's count, or what the hour of the week has had.
-- grain: window
-- severity: error
-- repair: Collect the window again for this series, or correct the expectation.
-- reads: low_windows
-- message: {side}: {series} has {rows} rows from {window_start} to {window_end}, {said}

SELECT
  kind, series, side, window_start, window_end, CAST(rows AS BIGINT) AS rows, expected AS original_value,
  CAST(rows AS VARCHAR) AS backfill_value,
  CASE kind
    WHEN 'rows' THEN 'at least ' || expected || ' were expected'
    WHEN 'every_window' THEN 'at least one was expected'
    WHEN 'like_original' THEN 'the original has ' || expected
    ELSE 'about ' || expected || ' were expected, and so few come by chance once in ' || chance || ' windows'
  END AS said
FROM low_windows
