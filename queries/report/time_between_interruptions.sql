-- id: time_between_interruptions
-- summary: All runs: mean time between interruptions and mean time to repair, with what they rest on.
-- parameters: stream = *
-- reads: incidents, streams
-- Between: time observed and not interrupted, by interruption. Observed is what the bounds of all runs hold, each instant once. With
-- fewer than two interruptions there is nothing to take a mean of.
WITH found AS (
    -- Whoever found it: runs over the same bounds find the same interruption again, and its parts on both sides.
    SELECT stream, from_time, until_time, max(rows) AS rows
    FROM incidents
    WHERE kind = 'interruption' AND cause <> 'idle' AND from_time IS NOT NULL AND until_time IS NOT NULL
        AND $stream IN ('*', stream)
    GROUP BY stream, from_time, until_time
), reached AS (
    SELECT
        *,
        max(until_time) OVER (
            PARTITION BY stream ORDER BY from_time, until_time
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS reached
    FROM found
), numbered AS (
    SELECT
        *,
        sum(CASE WHEN reached IS NULL OR from_time > reached THEN 1 ELSE 0 END) OVER (
            PARTITION BY stream ORDER BY from_time, until_time
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS event
    FROM reached
), events AS (
    SELECT
        stream,
        event,
        min(from_time) AS from_time,
        max(until_time) AS until_time,
        max(rows) AS rows,
        date_part('epoch', max(until_time)) - date_part('epoch', min(from_time)) AS seconds
    FROM numbered
    GROUP BY stream, event
), bounds AS (
    SELECT DISTINCT stream, bounds_from AS from_time, bounds_until AS until_time
    FROM streams
    WHERE bounds_from IS NOT NULL AND bounds_until IS NOT NULL AND $stream IN ('*', stream)
), bounds_reached AS (
    SELECT
        *,
        max(until_time) OVER (
            PARTITION BY stream ORDER BY from_time, until_time
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS reached
    FROM bounds
), observed AS (
    -- Time that some run spoke of, each instant once.
    SELECT
        stream,
        sum(greatest(
            date_part('epoch', until_time)
                - greatest(date_part('epoch', from_time), coalesce(date_part('epoch', reached), date_part('epoch', from_time))),
            0.0
        )) AS seconds
    FROM bounds_reached
    GROUP BY stream
), totals AS (
    SELECT stream, count(*) AS interruptions, sum(seconds) AS down_seconds FROM events GROUP BY stream
)
SELECT
    o.stream,
    coalesce(t.interruptions, 0) AS interruptions,
    o.seconds AS observed_seconds,
    coalesce(t.down_seconds, 0.0) AS interrupted_seconds,
    CASE WHEN t.interruptions >= 2 THEN (o.seconds - t.down_seconds) / t.interruptions END AS mean_seconds_between,
    CASE WHEN t.interruptions >= 2 THEN t.down_seconds / t.interruptions END AS mean_seconds_to_repair,
    CASE WHEN coalesce(t.interruptions, 0) < 2 THEN 'too few to tell' ELSE 'told' END AS judged
FROM observed o
LEFT JOIN totals t ON t.stream = o.stream
ORDER BY o.stream
