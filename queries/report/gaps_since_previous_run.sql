-- id: gaps_since_previous_run
-- summary: Gaps opened, closed and changed since the run of the same job before.
-- parameters: run = latest, stream = *
-- reads: runs, streams, gaps
-- A gap that lies outside the bounds of the other run is neither opened nor closed: that run did not speak of it. A range that overlaps
-- one of the other run without being it is `changed`. Gaps that were filled are closed.
WITH ordered AS (
    SELECT run, lag(run) OVER (PARTITION BY coalesce(job, '') ORDER BY started_at, run) AS previous FROM runs
), pair AS (
    SELECT run, previous FROM ordered WHERE run = $run AND previous IS NOT NULL
), ranged AS (
    -- Times in seconds and sequence numbers alike are numbers along an axis.
    SELECT
        g.run,
        g.stream,
        coalesce(nullif(g.series, ''), '{}') AS series,
        g.side,
        g.kind,
        g.from_time,
        g.until_time,
        g.from_sequence,
        g.until_sequence,
        CASE WHEN g.kind = 'time' THEN date_part('epoch', g.from_time) ELSE CAST(g.from_sequence AS DOUBLE) END AS low,
        CASE WHEN g.kind = 'time' THEN date_part('epoch', g.until_time) ELSE CAST(g.until_sequence AS DOUBLE) END AS high,
        date_part('epoch', s.bounds_from) AS bounds_low,
        date_part('epoch', s.bounds_until) AS bounds_high
    FROM gaps g
    JOIN streams s ON s.run = g.run AND s.stream = g.stream
    WHERE $stream IN ('*', g.stream) AND coalesce(g.status, 'open') <> 'filled' AND (s.mode <> 'fill' OR g.side = 'recovered')
), now AS (
    SELECT r.* FROM ranged r JOIN pair p ON p.run = r.run
), before AS (
    SELECT r.* FROM ranged r JOIN pair p ON p.previous = r.run
), met AS (
    SELECT
        n.stream,
        n.series,
        n.side,
        n.kind,
        n.low AS now_low,
        n.high AS now_high,
        b.low AS before_low,
        b.high AS before_high
    FROM now n
    JOIN before b ON b.stream = n.stream AND b.series = n.series AND b.side = n.side AND b.kind = n.kind
    WHERE n.low < b.high AND b.low < n.high
), marks AS (
    SELECT
        'now' AS which,
        stream,
        series,
        side,
        kind,
        low,
        high,
        from_time,
        until_time,
        from_sequence,
        until_sequence,
        0 AS touched,
        0 AS same
    FROM now
    UNION ALL
    SELECT 'before', stream, series, side, kind, low, high, from_time, until_time, from_sequence, until_sequence, 0, 0
    FROM before
    UNION ALL
    SELECT 'now', stream, series, side, kind, now_low, now_high, NULL, NULL, NULL, NULL, 1,
        CASE WHEN now_low = before_low AND now_high = before_high THEN 1 ELSE 0 END
    FROM met
    UNION ALL
    SELECT 'before', stream, series, side, kind, before_low, before_high, NULL, NULL, NULL, NULL, 1,
        CASE WHEN now_low = before_low AND now_high = before_high THEN 1 ELSE 0 END
    FROM met
), gathered AS (
    SELECT
        which,
        stream,
        series,
        side,
        kind,
        low,
        high,
        max(from_time) AS from_time,
        max(until_time) AS until_time,
        max(from_sequence) AS from_sequence,
        max(until_sequence) AS until_sequence,
        max(touched) AS touched,
        max(same) AS same
    FROM marks
    GROUP BY which, stream, series, side, kind, low, high
), other_bounds AS (
    SELECT 'now' AS which, s.stream, date_part('epoch', s.bounds_from) AS bounds_low, date_part('epoch', s.bounds_until) AS bounds_high
    FROM streams s
    JOIN pair p ON p.previous = s.run
    UNION ALL
    SELECT 'before', s.stream, date_part('epoch', s.bounds_from), date_part('epoch', s.bounds_until)
    FROM streams s
    JOIN pair p ON p.run = s.run
)
SELECT
    g.stream,
    CASE WHEN g.touched = 1 THEN 'changed' WHEN g.which = 'now' THEN 'opened' ELSE 'closed' END AS change,
    g.which AS as_of,
    g.series,
    g.side,
    g.kind,
    g.from_time,
    g.until_time,
    g.from_sequence,
    g.until_sequence
FROM gathered g
JOIN other_bounds o ON o.which = g.which AND o.stream = g.stream
WHERE g.same = 0
    AND (g.kind <> 'time' OR o.bounds_low IS NULL OR o.bounds_high IS NULL OR (g.low < o.bounds_high AND g.high > o.bounds_low))
ORDER BY change, g.stream, g.series, g.side, g.kind, g.low, g.which
