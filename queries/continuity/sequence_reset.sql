-- id: sequence_reset
-- summary: a counter that starts again
-- why: What was counted before and after it are two counters, each with its own gaps. From the numbers alone nobody
--   can tell a restart from a replay under new times, or say whether the old counter's last rows were lost.
-- grain: range
-- severity: error
-- repair: Check that the producer was restarted and what its last number was; then accept the finding, or lower it under
--   [severity] where restarts are normal.
-- reads: sequence_facts
-- message: {side}: {series} starts again: {from_sequence} at {from_time}, {until_sequence} at {until_time}

SELECT side, series, from_sequence, until_sequence, from_time, until_time
FROM sequence_facts
WHERE kind = 'reset'
