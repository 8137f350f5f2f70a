"""Runs the example of docs/ci.md for Airflow in this directory, by `airflow dags test`, and asserts how it ends and what it leaves.

    airflow.py docs/ci.md fail|pass
"""

import os
import pathlib
import re
import subprocess
import sys

page, wanted = pathlib.Path(sys.argv[1]).read_text(), sys.argv[2]
[example] = re.findall(r"(?ms)^## Airflow$.*?^```python\n(.*?)^```", page)
here = pathlib.Path.cwd()
# The folder is the reader's own.
assert example.count('cwd="/srv/recovery"') == 1
home = here / "airflow"
(home / "dags").mkdir(parents=True)
(home / "dags" / "example.py").write_text(example.replace("/srv/recovery", str(here)))
environment = {**os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
airflow = pathlib.Path(sys.executable).with_name("airflow")
for command in (["db", "migrate"], ["dags", "test", "verify_recovered_stream"]):
    ran = subprocess.run([airflow, *command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if command[0] == "db":
        assert ran.returncode == 0, ran.stdout
assert ran.returncode == (0 if wanted == "pass" else 1), ran.stdout
gated = "Command exited with return code 1" in ran.stdout
assert gated == (wanted == "fail"), ran.stdout
assert "UP_FOR_RETRY" not in ran.stdout.upper(), ran.stdout
assert (here / "reports.html").is_file() and list((here / "reports").glob("run=*/run.json")), "no report was kept"
