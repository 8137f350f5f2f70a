-- id: seam_overlap
-- summary: a stretch that both sides cover
-- why: An overlap is how a careful backfill is made. Its rows are compared like any others.
-- grain: range
-- severity: info
-- repair: Nothing; replays and conflicts inside it are findings of their own.
-- reads: seams
-- message: {series}: both sides cover {range_from} to {range_until}

SELECT
  series, from_time, until_time, from_sequence, until_sequence, rows,
  COALESCE(CAST(from_sequence AS VARCHAR), CAST(from_time AS VARCHAR)) AS range_from,
  COALESCE(CAST(until_sequence AS VARCHAR), CAST(until_time AS VARCHAR)) AS range_until
FROM seams
WHERE kind = 'overlap'
