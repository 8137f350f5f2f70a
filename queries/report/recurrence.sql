-- id: recurrence
-- summary: All runs: the chance of another interruption within a day and a week, by hour, with intervals.
-- parameters: stream = *, fewest = 5
-- reads: incidents, streams
-- Interruptions are taken to begin at random at a steady rate for each hour of the day (a Poisson process): n of them in d observed days
-- give n / d a day, and 1 - exp(-n / d) for the next day. The interval is the exact one of a Poisson count at 95 %, by Byar's
-- approximation of its quantiles. The line without an hour is of any hour. Below $fewest interruptions of a stream it says nothing.
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
), hours AS (
    SELECT stream, CAST(date_part('hour', from_time) AS INT) AS hour, count(*) AS interruptions FROM events GROUP BY 1, 2
    UNION ALL
    SELECT stream, NULL, count(*) FROM events GROUP BY stream
), totals AS (
    SELECT stream, count(*) AS interruptions FROM events GROUP BY stream
), rates AS (
    SELECT
        o.stream,
        h.hour,
        coalesce(h.interruptions, 0) AS interruptions,
        coalesce(t.interruptions, 0) AS of_stream,
        o.seconds / 86400.0 AS days,
        CAST(h.interruptions AS DOUBLE) AS n
    FROM observed o
    LEFT JOIN hours h ON h.stream = o.stream
    LEFT JOIN totals t ON t.stream = o.stream
), bounded AS (
    SELECT
        *,
        -- Byar: n (1 - 1 / 9n - z / 3 sqrt n)^3, and the same from n + 1 for the upper end.
        n * power(1.0 - 1.0 / (9.0 * n) - 1.959963985 / (3.0 * sqrt(n)), 3.0) AS low,
        (n + 1.0) * power(1.0 - 1.0 / (9.0 * (n + 1.0)) + 1.959963985 / (3.0 * sqrt(n + 1.0)), 3.0) AS high,
        of_stream >= $fewest AND days >= 1.0 AS told
    FROM rates
)
SELECT
    stream,
    hour,
    interruptions,
    days AS observed_days,
    CASE WHEN told THEN 1.0 - exp(-n / days) END AS chance_next_day,
    CASE WHEN told THEN 1.0 - exp(-low / days) END AS day_low,
    CASE WHEN told THEN 1.0 - exp(-high / days) END AS day_high,
    CASE WHEN told THEN 1.0 - exp(-7.0 * n / days) END AS chance_next_week,
    CASE WHEN told THEN 1.0 - exp(-7.0 * low / days) END AS week_low,
    CASE WHEN told THEN 1.0 - exp(-7.0 * high / days) END AS week_high,
    CASE WHEN told THEN 'told' ELSE 'too few to tell' END AS judged
FROM bounded
ORDER BY stream, hour NULLS FIRST
