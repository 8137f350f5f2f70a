"""A slow and obvious comparison of two files by key: DuckDB's full outer join.

    python tests/python/keyed_truth.py ORIGINAL BACKFILL KEY[,KEY…] [COLUMN,…]

Files are .parquet, .csv (also .gz and .zst), .ndjson, .jsonl or .json. CSV is read as text, with an empty cell
as NULL, on both sides alike. Without a list of columns, those of both sides are compared. NULL matches NULL in keys and in values.
A key must be unique on each side: with copies a join would multiply rows, so that is an error here.

Prints {"original_rows", "backfill_rows", "matched", "missing", "unexpected", "mismatched", "mismatched_cells": {column: n}},
where `matched` counts keys of both sides whose rows are equal.
"""

import json
import sys

import duckdb


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def scan(path):
    text = "'" + path.replace("'", "''") + "'"
    bare = path.removesuffix(".gz").removesuffix(".zst")
    if bare.endswith(".parquet"):
        return f"read_parquet({text})"
    if bare.endswith(".csv"):
        return f"read_csv({text}, header = true, all_varchar = true, nullstr = '')"
    return f"read_json_auto({text})"


def compare(original, backfill, key, columns=None):
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    for side, path in (("original", original), ("backfill", backfill)):
        db.execute(f"CREATE TABLE {side} AS SELECT *, true AS \"is there\" FROM {scan(path)}")
        keys = ", ".join(map(quoted, key))
        copies = db.execute(f"SELECT count(*) FROM (SELECT 1 FROM {side} GROUP BY {keys} HAVING count(*) > 1)").fetchone()[0]
        if copies:
            sys.exit(f"error: {copies} keys of the {side} have copies; this oracle needs unique keys")
    names = lambda side: [row[0] for row in db.execute(f"DESCRIBE {side}").fetchall()]
    held = set(names("backfill"))
    columns = columns or [c for c in names("original") if c in held and c not in key and c != "is there"]
    join = " AND ".join(f"(o.{quoted(c)} IS NOT DISTINCT FROM b.{quoted(c)})" for c in key)
    differs = {c: f"(o.{quoted(c)} IS DISTINCT FROM b.{quoted(c)})" for c in columns}
    # A row is there if its marker is: a NULL key or a row of NULLs is a row like any other.
    both = 'o."is there" AND b."is there"'
    any_differs = "(" + (" OR ".join(differs.values()) or "false") + ")"
    cells = "".join(f", count(*) FILTER ({both} AND {d})" for d in differs.values())
    matched, missing, unexpected, mismatched, *cells = db.execute(f"""
        SELECT count(*) FILTER ({both} AND NOT {any_differs}),
               count(*) FILTER (b."is there" IS NULL),
               count(*) FILTER (o."is there" IS NULL),
               count(*) FILTER ({both} AND {any_differs}){cells}
        FROM original o FULL JOIN backfill b ON {join}""").fetchone()
    rows = lambda side: db.execute(f"SELECT count(*) FROM {side}").fetchone()[0]
    return {
        "original_rows": rows("original"),
        "backfill_rows": rows("backfill"),
        "matched": matched,
        "missing": missing,
        "unexpected": unexpected,
        "mismatched": mismatched,
        "mismatched_cells": dict(zip(columns, cells)),
    }


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    listed = sys.argv[4].split(",") if len(sys.argv) == 5 else None
    print(json.dumps(compare(sys.argv[1], sys.argv[2], sys.argv[3].split(","), listed), indent=1))
