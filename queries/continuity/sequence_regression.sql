-- id: sequence_regression
-- summary: a sequence that falls while event time rises
-- why: Row order does not matter, time does: a counter that falls was reset, or events carry wrong times.
-- grain: range
-- severity: warn
-- repair: Check whether the counter was reset, or whether clocks differ between producers.
-- reads: sequence_facts
-- message: {side}: {series} falls from {from_sequence} to {until_sequence} between {from_time} and
--   {until_time}

SELECT side, series, from_sequence, until_sequence, from_time, until_time
FROM sequence_facts
WHERE kind = 'regression'
