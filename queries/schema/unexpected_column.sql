-- id: unexpected_column
-- summary: a column of the backfill is not on the original
-- why: It is not compared with anything. Often it is a renamed column, which would also be a missing one.
-- grain: stream
-- severity: warn
-- repair: Leave it out with --ignore, or map it with the option rename.
-- reads: schema_facts
-- message: column '{column_name}' ({backfill_value}) is on the backfill only

SELECT column_name, 'backfill' AS side, backfill_type AS backfill_value
FROM schema_facts
WHERE kind = 'unexpected'
