-- id: sequence_reset
-- summary: a counter that starts again
-- why: What was counted before and after it are two counters: each has its own gaps. Whether rows were lost at
--   the end of the old one cannot be seen from the numbers.
-- grain: range
-- severity: warn
-- repair: Check that the producer was restarted, and compare its last number with the one given here.
-- reads: sequence_facts
-- message: {side}: {series} starts again: {from_sequence} at {from_time}, {until_sequence} at {until_time}

SELECT side, series, from_sequence, until_sequence, from_time, until_time
FROM sequence_facts
WHERE kind = 'reset'
