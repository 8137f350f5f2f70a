-- id: window_pending
-- summary: the youngest stretch of time, which is not judged yet
-- why: Rows may still come there: it is younger than the latest row less the grace.
-- grain: stream
-- severity: info
-- repair: Verify again when the grace has passed.
-- reads: series_facts
-- message: what lies from {from_time} to {until_time} is younger than the grace allows, and was not judged

SELECT from_time, until_time
FROM series_facts
WHERE kind = 'pending'
