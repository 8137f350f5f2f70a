"""Runs the statements of docs/ask.md in the current directory, in DuckDB and pandas, and prints what each answers, as JSON.

    ask_examples.py docs/ask.md
"""

import json
import pathlib
import re
import sys

import duckdb

answers = []
for language, code in re.findall(r"(?ms)^```(\w+)\n(.*?)^```", pathlib.Path(sys.argv[1]).read_text()):
    if language == "sql":
        columns = [map(str, column.to_pylist()) for column in duckdb.sql(code).to_arrow_table().columns]
        answers.append([list(row) for row in zip(*columns)])
    else:
        names = {}
        exec(code, names)
        answers.append([[*map(str, key), str(count)] for key, count in names["answer"].items()])
json.dump(answers, sys.stdout)
