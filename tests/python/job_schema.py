"""Judges jobs by the JSON Schema that editors use, and prints one boolean for each, as JSON.

    job_schema.py SCHEMA JOBS

JOBS is a JSON array of jobs as TOML text. What cannot be read as TOML ends the script with a traceback.
"""

import datetime
import json
import pathlib
import sys
import tomllib

import jsonschema

schema = json.loads(pathlib.Path(sys.argv[1]).read_text())
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)


def plain(value):
    """Dates and times as editors hand them to a schema: text."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    return value


jobs = json.loads(pathlib.Path(sys.argv[2]).read_text())
json.dump([validator.is_valid(plain(tomllib.loads(job))) for job in jobs], sys.stdout)
