"""DuckDB, full outer join of everything."""

import json

from common import BACKFILL, ORIGINAL, columns, connect, duplicates, join

con = connect()
values, sql = join(f"'{ORIGINAL}'", f"'{BACKFILL}'", columns(con))
missing, unexpected, mismatched, *each = con.execute(sql).fetchone()
counts = {"missing": missing, "unexpected": unexpected, "mismatched": mismatched}
counts["columns"] = {column: count for column, count in zip(values, each) if count}
counts["duplicates"] = duplicates(con, f"'{BACKFILL}'") + duplicates(con, f"'{ORIGINAL}'")
print(json.dumps(counts))
