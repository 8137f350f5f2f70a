"""The cells of a CSV as Python's csv module reads them, as a Parquet file of text columns: csv_cells.py IN OUT DELIMITER."""

import csv
import sys

import pyarrow
import pyarrow.parquet

source, target, delimiter = sys.argv[1:]
csv.field_size_limit(1 << 30)
with open(source, encoding="utf-8-sig", newline="") as file:
    header, *rows = [row for row in csv.reader(file, delimiter=delimiter) if row]
columns = {name: [row[place] or None for row in rows] for place, name in enumerate(header)}
pyarrow.parquet.write_table(pyarrow.table({name: pyarrow.array(values, pyarrow.string()) for name, values in columns.items()}), target)
