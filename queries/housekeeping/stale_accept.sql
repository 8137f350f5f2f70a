-- id: stale_accept
-- summary: an accepted finding that matches nothing any more
-- why: What it excused is gone, or it was written wrongly: it would hide the next finding that happens to
--   fit.
-- grain: stream
-- severity: warn
-- repair: Remove it from the job.
-- reads: accepts
-- message: {place} accepts '{accepted_check}' ({reason}) but covers no finding

SELECT place, accepted_check, reason, accepted_check AS kind
FROM accepts
WHERE covered = 0 AND NOT expired
