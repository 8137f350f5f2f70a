"""DuckDB as an expert writes it: sums of row hashes by window and sub-bucket of the key, then the join of the groups that differ.

With 0 sub-buckets, windows only: the cheapest thing an expert writes.
"""

import json
import sys

from common import BACKFILL, KEY, ORIGINAL, WINDOW, columns, connect, duplicates, join

sub = int(sys.argv[3]) if len(sys.argv) > 3 else 0
con = connect()
names = columns(con)
key, everything = ", ".join(KEY), ", ".join(names)
part = f"(hash({key}) >> 8) % {sub}::ubigint" if sub else "0::ubigint"
for table, path in (("wa", ORIGINAL), ("wb", BACKFILL)):
    con.execute(
        f"create temp table {table} as select {WINDOW} w, {part} s, count(*) n, sum(hash({everything})::hugeint) h from '{path}' group by all"
    )
con.execute(
    """create temp table d as select coalesce(wa.w, wb.w) w, coalesce(wa.s, wb.s) s, wa.n na, wb.n nb
    from wa full outer join wb on wa.w = wb.w and wa.s = wb.s where wa.n is distinct from wb.n or wa.h is distinct from wb.h"""
)
differing, missing, unexpected = con.execute(
    "select count(*), coalesce(sum(na) filter (nb is null), 0)::bigint, coalesce(sum(nb) filter (na is null), 0)::bigint from d"
).fetchone()
counts = {"missing": missing, "unexpected": unexpected, "mismatched": 0, "columns": {}, "duplicates": 0}
if differing:
    con.execute("delete from d where na is null or nb is null")
    wanted = f"({WINDOW}, {part}) in (select (w, s) from d)"
    for table, path in (("ra", ORIGINAL), ("rb", BACKFILL)):
        con.execute(f"create temp table {table} as select * from '{path}' where {wanted}")
    values, sql = join("ra", "rb", names)
    more_missing, more_unexpected, mismatched, *each = con.execute(sql).fetchone()
    counts.update(missing=missing + more_missing, unexpected=unexpected + more_unexpected, mismatched=mismatched)
    counts["columns"] = {column: count for column, count in zip(values, each) if count}
    counts["duplicates"] = duplicates(con, "ra") + duplicates(con, "rb")
print(json.dumps(counts))
