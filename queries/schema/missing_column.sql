-- id: missing_column
-- summary: a column of the original is not on the backfill
-- why: What is not there cannot be compared, and whatever reads the recovered data will miss it.
-- grain: stream
-- severity: error
-- repair: Collect the column again, or leave it out on purpose with --ignore; a renamed one takes the option
--   rename.
-- reads: schema_facts
-- message: column '{column_name}' ({original_value}) is on the original only

SELECT column_name, 'original' AS side, original_type AS original_value
FROM schema_facts
WHERE kind = 'missing'
