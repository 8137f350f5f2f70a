-- id: mismatched_columns
-- summary: Columns whose values differ: how often, and one example.
-- parameters: run = latest, stream = *
-- reads: findings
SELECT
    stream,
    column_name,
    count(*) AS mismatches,
    count(DISTINCT key) AS keys,
    count(*) FILTER (WHERE coalesce(accepted, false)) AS accepted,
    first_value(key ORDER BY key, original_value, backfill_value) AS example_key,
    first_value(original_value ORDER BY key, original_value, backfill_value) AS example_original,
    first_value(backfill_value ORDER BY key, original_value, backfill_value) AS example_backfill
FROM findings
WHERE run = $run AND $stream IN ('*', stream) AND check = 'value_mismatch'
GROUP BY stream, column_name
ORDER BY count(*) DESC, stream, column_name
