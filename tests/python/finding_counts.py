"""Holds the table finding_counts of a run against its table findings, with DuckDB.

    python tests/python/finding_counts.py RUN_DIRECTORY

Prints one JSON object: "lines" and "findings" (rows of the two tables), and "differing": sums that are not the same in both.
"""

import json
import pathlib
import sys

import duckdb

SORT = 'stream, "check", kind, severity, side, series, column_name, accepted, known'


def compare(run):
    db = duckdb.connect()
    table = lambda name: f"read_parquet('{pathlib.Path(run) / name}.parquet')"
    # A finding about a key, row or cell lies in its window; any other in its own range.
    place = """window_start, window_end,
        CASE WHEN lies THEN NULL ELSE from_time END AS from_time, CASE WHEN lies THEN NULL ELSE until_time END AS until_time,
        CASE WHEN lies THEN NULL ELSE from_sequence END AS from_sequence, CASE WHEN lies THEN NULL ELSE until_sequence END AS until_sequence"""
    listed = f"""
        SELECT {SORT}, {place}, count(*) AS findings, count(DISTINCT "key") AS "keys", sum("rows") AS "rows",
            min("key") AS example_key
        FROM (SELECT *, window_start IS NOT NULL AND grain IN ('key', 'row', 'cell') AS lies FROM {table('findings')})
        GROUP BY ALL"""
    counted = f"""
        SELECT {SORT}, window_start, window_end, from_time, until_time, from_sequence, until_sequence,
            sum(findings) AS findings, sum("keys") AS "keys", sum("rows") AS "rows", min(example_key) AS example_key
        FROM {table('finding_counts')} GROUP BY ALL"""
    differing = db.execute(f"""
        (SELECT 'listed' AS only_in, * FROM ({listed} EXCEPT {counted}))
        UNION ALL (SELECT 'counted', * FROM ({counted} EXCEPT {listed}))""").fetchall()
    one = lambda name: db.execute(f"SELECT count(*) FROM {table(name)}").fetchone()[0]
    return {"lines": one("finding_counts"), "findings": one("findings"), "differing": [[str(v) for v in row] for row in differing[:20]]}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(json.dumps(compare(sys.argv[1]), indent=1))
