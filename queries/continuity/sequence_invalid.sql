-- id: sequence_invalid
-- summary: rows whose numbers cannot be numbers of the sequence
-- why: A range that ends before it begins holds no number, and a number between two steps belongs to no row. Such
--   rows are left out of the continuity of the sequence.
-- grain: series
-- severity: error
-- repair: Look at the rows, and at sequence and sequence_step in the job.
-- reads: sequence_facts
-- message: {side}: {series} has {rows} rows {said}

SELECT
  kind, side, series, rows,
  CASE kind WHEN 'inverted' THEN 'whose last number is before their first' ELSE 'whose number is not one of the steps' END AS said
FROM sequence_facts
WHERE kind IN ('inverted', 'off_step')
