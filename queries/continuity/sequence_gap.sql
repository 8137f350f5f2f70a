-- id: sequence_gap
-- summary: numbers of a sequence that are not there
-- why: A sequence that rises by one per row tells loss from idleness: a number that is missing was produced
--   once.
-- grain: range
-- severity: error
-- repair: Collect the range of numbers again for this series.
-- reads: gaps
-- message: {side}: {series} lacks the sequence numbers {from_sequence} up to but not including
--   {until_sequence}, {missing_estimate} missing

SELECT series, side, from_sequence, until_sequence, missing_estimate, missing_estimate AS rows
FROM gaps
WHERE judged AND kind = 'sequence' AND status = 'open'
