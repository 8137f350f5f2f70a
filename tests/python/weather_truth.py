"""The hours that are missing from the weather fixture, by DuckDB and by nothing of gapless.

    python tests/python/weather_truth.py [WEATHER.parquet]

Prints one JSON object: for each airport the gaps in order of time, each half-open
[from, until) with the number of missing hours. The rule is the one of gapless with a
cadence c of one hour and a silence of 1.5 c: two neighbouring rows at t and u with
u - t > 1.5 h leave the gap [t + 1 h, u) with round((u - t) / 1 h) - 1 hours missing.
"""

import json
import pathlib
import sys

import duckdb

WEATHER = pathlib.Path(__file__).resolve().parents[2] / "fixtures/weather/weather.parquet"

GAPS = """
    WITH neighbours AS (
        SELECT origin,
               lag(instant) OVER (PARTITION BY origin ORDER BY instant) AS t,
               instant AS u
        -- Naive UTC, so that no session time zone can play a part.
        FROM (SELECT origin, time_hour AT TIME ZONE 'UTC' AS instant FROM read_parquet(?))
    )
    SELECT origin,
           strftime(t + INTERVAL 1 HOUR, '%Y-%m-%dT%H:%M:%SZ'),
           strftime(u, '%Y-%m-%dT%H:%M:%SZ'),
           CAST(round(epoch(u - t) / 3600) AS BIGINT) - 1
    FROM neighbours
    WHERE u - t > INTERVAL 90 MINUTE
    ORDER BY origin, t
"""


def gaps(path=WEATHER):
    """Gaps per airport: {airport: [{"from", "until", "missing"}, …]}, times in UTC."""
    found = {}
    for origin, start, end, missing in duckdb.execute(GAPS, [str(path)]).fetchall():
        found.setdefault(origin, []).append({"from": start, "until": end, "missing": missing})
    return found


if __name__ == "__main__":
    print(json.dumps(gaps(*sys.argv[1:2]), indent=1))
