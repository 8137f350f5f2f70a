-- id: mismatched_columns
-- summary: Columns whose values differ: how often, and one example.
-- parameters: run = latest, stream = *
-- reads: finding_counts
SELECT
    stream,
    column_name,
    sum(findings) AS mismatches,
    sum(keys) AS keys,
    coalesce(sum(findings) FILTER (WHERE accepted), 0) AS accepted,
    first_value(example_key ORDER BY example_key, example_original, example_backfill) AS example_key,
    first_value(example_original ORDER BY example_key, example_original, example_backfill) AS example_original,
    first_value(example_backfill ORDER BY example_key, example_original, example_backfill) AS example_backfill
FROM finding_counts
WHERE run = $run AND $stream IN ('*', stream) AND check = 'value_mismatch'
GROUP BY stream, column_name
ORDER BY sum(findings) DESC, stream, column_name
