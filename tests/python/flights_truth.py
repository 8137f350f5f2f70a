"""What must be found in the flights outage, read off the files themselves by DuckDB.

    python tests/python/flights_truth.py [FIXTURE_DIR]

Knows nothing of how the fixture was made and shares no code with gapless: it opens the
live capture and what was collected again, and states in SQL what each word of the verdict
means. Prints the JSON that `fixtures/flights-outage/truth.json` holds.
"""

import json
import pathlib
import sys

import duckdb

FIXTURE = pathlib.Path(__file__).resolve().parents[2] / "fixtures/flights-outage"

# The same as in the job file. Every range is half-open.
FROM, UNTIL = "2013-07-08 10:00:00", "2013-07-09 02:00:00"
OUTAGE_FROM, OUTAGE_UNTIL = "2013-07-08 13:10:00", "2013-07-08 17:45:00"
WINDOW = "30 minutes"
KEY = ["scheduled_at", "carrier", "flight", "origin"]
VALUES = ["dest", "tailnum", "dep_delay", "arr_delay", "air_time", "distance", "log_offset"]

COLUMNS = KEY + VALUES
LIST = ", ".join(COLUMNS)
KEYS = ", ".join(KEY)
ISO = "%Y-%m-%dT%H:%M:%SZ"

SETUP = f"""
    SET TimeZone = 'UTC';

    CREATE TABLE original_read AS
    SELECT scheduled_at AT TIME ZONE 'UTC' AS scheduled_at, * EXCLUDE (scheduled_at, day)
    FROM read_parquet($original, hive_partitioning = true);

    -- Everything is text, local to New York; an empty cell is NULL.
    CREATE TABLE backfill_read AS
    SELECT (scheduled_local::TIMESTAMP AT TIME ZONE 'America/New_York') AT TIME ZONE 'UTC' AS scheduled_at,
           carrier, flight::INTEGER AS flight, origin, dest, tailnum,
           dep_delay::INTEGER AS dep_delay, arr_delay::INTEGER AS arr_delay,
           air_time::INTEGER AS air_time, distance::INTEGER AS distance, log_offset::BIGINT AS log_offset
    FROM read_csv($backfill, header = true, all_varchar = true, nullstr = '');

    CREATE VIEW sides AS
        SELECT 'original' AS side, {LIST} FROM original_read
        UNION ALL SELECT 'backfill', {LIST} FROM backfill_read;

    CREATE VIEW bounded AS
        SELECT * FROM sides
        WHERE scheduled_at >= TIMESTAMP '{FROM}' AND scheduled_at < TIMESTAMP '{UNTIL}';

    -- One row for a distinct row of a side, with its number of copies.
    CREATE TABLE copies AS SELECT side, {LIST}, count(*) AS n FROM bounded GROUP BY ALL;

    -- What continuity is judged on: each side alone, and both together.
    CREATE VIEW judged AS
        SELECT side, origin, scheduled_at, log_offset FROM bounded
        UNION ALL SELECT 'recovered', origin, scheduled_at, log_offset FROM bounded;

    -- A time gap is a maximal run of empty windows inside the bounds.
    CREATE TABLE time_gaps AS
    WITH windows AS (
        SELECT unnest(range(TIMESTAMP '{FROM}', TIMESTAMP '{UNTIL}', INTERVAL '{WINDOW}')) AS start
    ), grid AS (
        SELECT side, origin, start
        FROM (SELECT DISTINCT side, origin FROM judged), windows
    ), empty AS (
        SELECT side, origin, start,
               start - row_number() OVER (PARTITION BY side, origin ORDER BY start) * INTERVAL '{WINDOW}' AS island
        FROM grid g
        WHERE NOT EXISTS (
            SELECT 1 FROM judged j
            WHERE j.side = g.side AND j.origin = g.origin
              AND time_bucket(INTERVAL '{WINDOW}', j.scheduled_at) = g.start)
    )
    SELECT side, origin, min(start) AS from_time, max(start) + INTERVAL '{WINDOW}' AS until_time
    FROM empty GROUP BY side, origin, island;

    -- A sequence gap is what lies between two neighbouring numbers that are not successive.
    CREATE TABLE sequence_gaps AS
    WITH numbers AS (SELECT DISTINCT side, origin, log_offset FROM judged),
         steps AS (
        SELECT side, origin,
               lag(log_offset) OVER (PARTITION BY side, origin ORDER BY log_offset) AS before, log_offset AS after
        FROM numbers)
    SELECT side, origin, before + 1 AS from_sequence, after AS until_sequence
    FROM steps WHERE after - before > 1;
"""


def text(value):
    return None if value is None else str(value)


def truth(fixture=FIXTURE):
    """The whole ground truth as a dictionary, in a fixed order."""
    db = duckdb.connect()
    fixture = pathlib.Path(fixture)
    setup = SETUP.replace("$original", f"'{fixture}/live/*/*.parquet'").replace(
        "$backfill", f"'{fixture}/collected/*.csv'"
    )
    db.execute(setup)
    rows = lambda sql: db.execute(sql).fetchall()
    one = lambda sql: rows(sql)[0][0]

    key_json = (
        f"{{'scheduled_at': strftime(scheduled_at, '{ISO}'), 'carrier': carrier, 'flight': flight, 'origin': origin}}"
    )

    # Keys by what became of them. A key has one distinct row a side here, or the asserts below fail.
    db.execute(f"""
        CREATE TABLE keys AS
        SELECT {KEYS},
               coalesce(sum(n) FILTER (side = 'original'), 0) AS original_copies,
               coalesce(sum(n) FILTER (side = 'backfill'), 0) AS backfill_copies,
               count(*) FILTER (side = 'original') AS original_rows,
               count(*) FILTER (side = 'backfill') AS backfill_rows
        FROM copies GROUP BY {KEYS};
        CREATE TABLE both_sides AS
        SELECT {', '.join(f'k.{c}' for c in KEY)}, k.original_copies, k.backfill_copies,
               {', '.join(f'o.{c} AS original_{c}, b.{c} AS backfill_{c}' for c in VALUES)}
        FROM keys k
        JOIN copies o ON o.side = 'original' AND {' AND '.join(f'o.{c} = k.{c}' for c in KEY)}
        JOIN copies b ON b.side = 'backfill' AND {' AND '.join(f'b.{c} = k.{c}' for c in KEY)};
    """)
    assert one("SELECT max(greatest(original_rows, backfill_rows)) FROM keys") == 1, "a key has conflicting copies"
    assert one("SELECT max(original_copies) FROM keys") == 1, "the live capture holds a key twice"
    assert one("SELECT max(backfill_copies) FROM both_sides") == 1, "a replayed key has copies"
    assert one(f"SELECT count(*) FROM bounded WHERE {' OR '.join(f'{c} IS NULL' for c in KEY)}") == 0, "a NULL in a key"

    differs = " OR ".join(f"original_{c} IS DISTINCT FROM backfill_{c}" for c in VALUES)
    mismatches = []
    for c in VALUES:
        for key, original, backfill in rows(f"""
            SELECT {key_json}, original_{c}, backfill_{c} FROM both_sides
            WHERE (original_{c} IS DISTINCT FROM backfill_{c}) ORDER BY {KEYS}"""):
            mismatches.append({"key": key, "column": c, "original": text(original), "backfill": text(backfill)})
    mismatches.sort(key=lambda m: (m["key"]["scheduled_at"], m["key"]["origin"], m["key"]["flight"], m["column"]))

    surplus = [
        {"key": key, "side": "backfill", "rows": n}
        for key, n in rows(f"""
            SELECT {key_json}, (backfill_copies - 1)::BIGINT FROM keys
            WHERE original_copies = 0 AND backfill_copies > 1 ORDER BY {KEYS}""")
    ]

    # A gap of the original is filled where nothing of it is left in the recovered stream, open where all of it is.
    gaps = []
    for side, origin, start, end, left in rows(f"""
        SELECT g.side, g.origin, g.from_time, g.until_time,
               coalesce((SELECT sum(epoch(least(r.until_time, g.until_time) - greatest(r.from_time, g.from_time)))
                         FROM time_gaps r WHERE r.side = 'recovered' AND r.origin = g.origin
                           AND r.from_time < g.until_time AND r.until_time > g.from_time), 0)
        FROM time_gaps g WHERE g.side IN ('original', 'recovered') ORDER BY ALL"""):
        whole = (end - start).total_seconds()
        status = "open" if side == "recovered" or left == whole else "partly_filled" if left else "filled"
        gaps.append({"side": side, "origin": origin, "from": start.strftime(ISO), "until": end.strftime(ISO), "status": status})

    sequence_gaps = []
    for side, origin, start, end, left in rows("""
        SELECT g.side, g.origin, g.from_sequence, g.until_sequence,
               coalesce((SELECT sum(least(r.until_sequence, g.until_sequence) - greatest(r.from_sequence, g.from_sequence))
                         FROM sequence_gaps r WHERE r.side = 'recovered' AND r.origin = g.origin
                           AND r.from_sequence < g.until_sequence AND r.until_sequence > g.from_sequence), 0)::BIGINT
        FROM sequence_gaps g WHERE g.side IN ('original', 'recovered') ORDER BY ALL"""):
        missing = end - start
        status = "open" if side == "recovered" or left == missing else "partly_filled" if left else "filled"
        sequence_gaps.append({"side": side, "origin": origin, "from": start, "until": end, "missing": missing, "status": status})

    # Where one stretch of the backfill's keys that the original holds too ends and the next begins: at the outage.
    overlaps = [
        {"origin": origin, "seam": seam, "first": first.strftime(ISO), "last": last.strftime(ISO), "keys": n}
        for origin, seam, first, last, n in rows("""
            WITH hole AS (SELECT origin, min(from_sequence) AS start FROM sequence_gaps WHERE side = 'original' GROUP BY origin)
            SELECT b.origin, if(b.backfill_log_offset < h.start, 'before', 'after') AS seam,
                   min(b.scheduled_at), max(b.scheduled_at), count(*)
            FROM both_sides b JOIN hole h USING (origin) GROUP BY ALL ORDER BY 1, 3""")
    ]

    # The same number on two different keys of the recovered stream: none. Copies of one row keep their number.
    shared_numbers = one(f"""
        SELECT count(*) FROM (
            SELECT origin, log_offset FROM (SELECT DISTINCT {KEYS}, log_offset FROM bounded)
            GROUP BY ALL HAVING count(*) > 1)""")
    # Numbers that one side holds more than once, as runs of neighbours: the replayed rows.
    repeated_numbers = one("""
        WITH again AS (SELECT side, origin, log_offset, count(*) AS held FROM bounded GROUP BY ALL HAVING count(*) > 1),
             runs AS (SELECT side, origin, log_offset - row_number() OVER (PARTITION BY side, origin ORDER BY log_offset) AS run
                      FROM again)
        SELECT count(DISTINCT (side, origin, run)) FROM runs""")
    falls = one("""
        SELECT count(*) FROM (
            SELECT log_offset < max(log_offset) OVER (
                PARTITION BY origin ORDER BY scheduled_at
                RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING) AS fell
            FROM bounded) WHERE fell""")

    violations = [
        {"rule": "delay_is_plausible", "side": side, "key": key, "dep_delay": delay}
        for side, key, delay in rows(f"""
            SELECT side, {key_json}, dep_delay FROM bounded
            WHERE dep_delay NOT BETWEEN -60 AND 1440 ORDER BY ALL""")
    ]
    assert one("SELECT count(*) FROM bounded WHERE NOT coalesce(distance > 0, false)") == 0

    outside = [
        {"side": side, "origin": origin, "rows": n}
        for side, origin, n in rows(f"""
            SELECT side, origin, count(*) FROM sides
            WHERE NOT (scheduled_at >= TIMESTAMP '{FROM}' AND scheduled_at < TIMESTAMP '{UNTIL}')
            GROUP BY ALL ORDER BY ALL""")
    ]

    replays = one(f"SELECT count(*) FROM both_sides WHERE NOT ({differs})")
    open_gaps = [g for g in gaps if g["side"] == "recovered"]
    open_sequence_gaps = [g for g in sequence_gaps if g["side"] == "recovered"]
    counts = {
        "original_rows": one("SELECT count(*) FROM bounded WHERE side = 'original'"),
        "backfill_rows": one("SELECT count(*) FROM bounded WHERE side = 'backfill'"),
        "matched_keys": replays,
        "missing_keys": None,
        "unexpected_keys": None,
        "mismatched_keys": one(f"SELECT count(*) FROM both_sides WHERE {differs}"),
        "duplicate_keys": replays + len(surplus),
        "surplus_rows": sum(s["rows"] for s in surplus),
        "missing_rows": None,
        "unexpected_rows": None,
        "gaps": len(open_gaps),
        "sequence_gaps": len(open_sequence_gaps),
        "violations": len(violations),
    }
    fails = bool(mismatches or open_gaps or open_sequence_gaps or shared_numbers)
    return {
        "verdict": "fail" if fails else "pass",
        "exit_code": 1 if fails else 0,
        "streams": [
            {
                "name": "departures",
                "mode": "fill",
                "verdict": "fail" if fails else "pass",
                "bounds": {"from": FROM.replace(" ", "T") + "Z", "until": UNTIL.replace(" ", "T") + "Z"},
                # The counts are of rows inside the bounds; the files hold these:
                "rows_read": {
                    "original": one("SELECT count(*) FROM original_read"),
                    "backfill": one("SELECT count(*) FROM backfill_read"),
                },
                "rows_outside_bounds": outside,
                "counts": counts,
                # By check, all of them. Each seam of an airport is one overlap, and the rows outside are told per side.
                "findings": {
                    "gap": len(open_gaps),
                    "sequence_gap": len(open_sequence_gaps),
                    "sequence_duplicate": repeated_numbers,
                    "row_outside_bounds": len({entry["side"] for entry in outside}),
                    "seam_overlap": len(overlaps),
                    "outage_open": len({
                        gap["origin"]
                        for gap in open_gaps
                        if gap["from"] < OUTAGE_UNTIL.replace(" ", "T") + "Z" and gap["until"] > OUTAGE_FROM.replace(" ", "T") + "Z"
                    }),
                    "row_outside_outage": one(f"""
                        SELECT count(DISTINCT origin) FROM bounded
                        WHERE side = 'backfill' AND (scheduled_at < '{OUTAGE_FROM}' OR scheduled_at >= '{OUTAGE_UNTIL}')"""),
                    "value_mismatch": len(mismatches),
                    "duplicate_key": replays + len(surplus),
                    "delay_is_plausible": len(violations),
                },
                "recovered_keys": one("SELECT count(*) FROM keys"),
                "kinds": {"duplicate_key": {"replay": replays, "surplus": len(surplus)}},
                "mismatches": mismatches,
                "surplus": surplus,
                "violations": violations,
                "gaps": gaps,
                "sequence_gaps": sequence_gaps,
                "sequence_duplicates_between_keys": shared_numbers,
                "sequence_regressions": falls,
                "overlaps": overlaps,
                "seam_gaps": 0,
            }
        ],
    }


if __name__ == "__main__":
    print(json.dumps(truth(*sys.argv[1:2]), indent=1))
