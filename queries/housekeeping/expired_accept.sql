-- id: expired_accept
-- summary: an accepted finding whose expiry has passed
-- why: It covers nothing from its expiry on, so what it excused counts again.
-- grain: stream
-- severity: warn
-- repair: Repair what it excused, or decide anew and set another expiry.
-- reads: accepts
-- message: {place} accepts '{accepted_check}' ({reason}) but expired at {expires}

SELECT place, accepted_check, reason, expires, accepted_check AS kind
FROM accepts
WHERE expired
