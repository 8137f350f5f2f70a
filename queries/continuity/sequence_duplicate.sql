-- id: sequence_duplicate
-- summary: numbers of a sequence that one side holds more than once
-- why: A number is given out once. Twice means a replay that was not recognised as one, or two producers with
--   one counter.
-- grain: range
-- severity: error
-- repair: Remove the copies, or find out which of two rows is the right one.
-- reads: sequence_facts
-- message: {side}: {series} holds the sequence numbers {from_sequence} up to but not including
--   {until_sequence} more than once, {rows} rows too many

SELECT side, series, from_sequence, until_sequence, rows
FROM sequence_facts
WHERE kind = 'duplicate'
