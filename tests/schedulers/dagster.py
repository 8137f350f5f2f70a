"""Runs the example of docs/ci.md for Dagster in this directory, as a check of its asset, and asserts how it ends and what it leaves.

    dagster.py docs/ci.md fail|pass
"""

import pathlib
import re
import sys

# This file has the package's name.
sys.path.pop(0)
import dagster as dg  # noqa: E402

page, wanted = pathlib.Path(sys.argv[1]).read_text(), sys.argv[2]
[example] = re.findall(r"(?ms)^## Dagster$.*?^```python\n(.*?)^```", page)
pathlib.Path("example.py").write_text(example)
sys.path.insert(0, ".")
import example as shown  # noqa: E402


@dg.asset(deps=[shown.orders])
def after() -> None:
    pathlib.Path("after").touch()


definitions = dg.Definitions(assets=[shown.orders, after], asset_checks=[shown.orders_are_whole])
run = definitions.resolve_implicit_global_asset_job_def().execute_in_process(raise_on_error=False)
[check] = run.get_asset_check_evaluations()
assert check.passed == run.success == (wanted == "pass"), check
assert check.metadata["verdict"].value == wanted, check.metadata
assert pathlib.Path(check.metadata["report"].value, "run.json").is_file() and pathlib.Path("report.html").is_file(), "no report was kept"
assert pathlib.Path("after").exists() == (wanted == "pass"), "what depends on the asset is blocked by the check, and by nothing else"
