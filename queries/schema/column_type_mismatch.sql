-- id: column_type_mismatch
-- summary: the two sides hold a column in types that cannot be compared by value
-- why: A text against a number has no equality that everybody would agree on, so the column was not compared.
-- grain: stream
-- severity: error
-- repair: Write the column in one type, or say how to read it with the option columns (text formats).
-- reads: schema_facts
-- message: column '{column_name}' is {original_value} on the original and {backfill_value} on the backfill,
--   and was not compared

SELECT column_name, original_type AS original_value, backfill_type AS backfill_value
FROM schema_facts
WHERE kind = 'mismatch'
