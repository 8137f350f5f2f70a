"""What the peers' scripts share: `python PEER.py DATASET VARIANT [SUB-BUCKETS]` prints one line of JSON with its counts."""

import os
import sys

import duckdb

DATA = os.environ["VERSUS_DATA"]
SETS = {
    "li": (["l_orderkey", "l_linenumber"], "l_orderkey // 65536"),
    "ev": (["sensor_id", "seq"], "epoch_us(ts) // 300000000"),
    "wide": (["id"], "id // 65536"),
}

name, variant = sys.argv[1:3]
KEY, WINDOW = SETS[name.split("_")[0]]
ORIGINAL, BACKFILL = (f"{DATA}/{name}_{which}.parquet" for which in ("orig", variant))


def connect():
    con = duckdb.connect()
    con.execute(f"set threads=2; set memory_limit='16GB'; set temp_directory='{DATA}/spill'; set preserve_insertion_order=false")
    return con


def columns(con):
    return [row[0] for row in con.execute(f"describe select * from '{ORIGINAL}'").fetchall()]


def join(original, backfill, all_columns):
    """A full outer join that counts what is missing, unexpected and different, in all and by column."""
    values = [column for column in all_columns if column not in KEY]
    on = " and ".join(f"a.{column} = b.{column}" for column in KEY)
    both = f"a.{KEY[0]} is not null and b.{KEY[0]} is not null"
    differs = " or ".join(f"a.{column} is distinct from b.{column}" for column in values)
    each = ", ".join(f"count(*) filter ({both} and a.{column} is distinct from b.{column})" for column in values)
    return values, f"""select count(*) filter (b.{KEY[0]} is null), count(*) filter (a.{KEY[0]} is null),
        count(*) filter ({both} and ({differs})), {each} from {original} a full outer join {backfill} b on {on}"""


def duplicates(con, source):
    key = ", ".join(KEY)
    return con.execute(
        f"select coalesce(sum(n - 1), 0)::bigint from (select count(*) n from {source} group by {key} having count(*) > 1)"
    ).fetchone()[0]
