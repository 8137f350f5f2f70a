-- id: interruption_history
-- summary: All runs: how often each stream was interrupted, and how long.
-- parameters: stream = *
-- reads: incidents
-- Interruptions that overlap are one, whichever run, side or series found them. Quiet (`idle`) stretches are none.
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
)
SELECT
    stream,
    count(*) AS interruptions,
    min(from_time) AS first,
    max(from_time) AS latest,
    sum(seconds) AS total_seconds,
    avg(seconds) AS mean_seconds,
    median(seconds) AS median_seconds,
    max(seconds) AS longest_seconds,
    sum(rows) AS rows
FROM events
GROUP BY stream
ORDER BY interruptions DESC, stream
