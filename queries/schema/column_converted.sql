-- id: column_converted
-- summary: the two sides hold a column in different types, compared by value in a common one
-- why: The comparison is sound, but a store that changed a type may have lost digits: where it did, the
--   values are counted.
-- grain: stream
-- severity: info
-- repair: Nothing, if the change is meant.
-- reads: schema_facts
-- message: column '{column_name}' is {original_value} on the original and {backfill_value} on the backfill:
--   {note}

SELECT
  column_name, original_type AS original_value, backfill_type AS backfill_value, lossy_side AS side, lost_values AS rows,
  note || CASE WHEN lost_values IS NULL THEN '' ELSE '; ' || CAST(lost_values AS VARCHAR) || ' values lost digits' END AS note
FROM schema_facts
WHERE kind = 'converted'
