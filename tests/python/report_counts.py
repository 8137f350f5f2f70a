"""Counts of a report directory, read by DuckDB with one glob a table.

    python tests/python/report_counts.py REPORT_DIR

Prints one JSON object:
    "tables":   {table: rows over all runs} for the eleven tables of a report,
    "runs":     the run ids that the paths name (run=<id>), sorted,
    "findings": [{"run", "stream", "check", "severity", "findings", "rows"}], sorted; `rows` is the sum of
                that column, NULL counted as 0.
"""

import json
import pathlib
import sys

import duckdb

TABLES = ["runs", "streams", "checks", "windows", "spans", "gaps", "seams", "findings", "finding_counts", "incidents", "diagnoses"]


def relation(report, table):
    files = str(pathlib.Path(report) / "run=*" / f"{table}.parquet").replace("'", "''")
    # A run id is text, however much one may look like a number or a date.
    return f"read_parquet('{files}', hive_partitioning = true, hive_types = {{'run': VARCHAR}})"


def counts(report):
    db = duckdb.connect()
    findings = db.execute(f"""
        SELECT run, stream, "check", severity, count(*), CAST(coalesce(sum("rows"), 0) AS BIGINT)
        FROM {relation(report, 'findings')} GROUP BY ALL ORDER BY ALL""").fetchall()
    names = ["run", "stream", "check", "severity", "findings", "rows"]
    return {
        "tables": {t: db.execute(f"SELECT count(*) FROM {relation(report, t)}").fetchone()[0] for t in TABLES},
        "runs": [r for (r,) in db.execute(f"SELECT DISTINCT run FROM {relation(report, 'streams')} ORDER BY 1").fetchall()],
        "findings": [dict(zip(names, row)) for row in findings],
    }


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(json.dumps(counts(sys.argv[1]), indent=1))
