"""Takes the examples of docs/ci.md apart and prints, as JSON, the shell step of each: YAML is read by PyYAML, Python by Python.

    ci_examples.py docs/ci.md
"""

import ast
import json
import pathlib
import re
import shlex
import sys

import yaml

page = pathlib.Path(sys.argv[1]).read_text()
steps = {}
for section in re.split(r"(?m)^## ", page)[1:]:
    title = section.split("\n")[0]
    for language, code in re.findall(r"(?ms)^```(\w+)\n(.*?)^```", section):
        if language == "yaml":
            whole = yaml.safe_load(code)
            if "jobs" in whole:
                found = [step["run"] for step in whole["jobs"]["verify"]["steps"] if "run" in step]
                kept = next(step for step in whole["jobs"]["verify"]["steps"] if "upload" in step.get("uses", ""))
                assert kept["if"] == "always()"
            else:
                found = whole["verify"]["script"]
                assert whole["verify"]["artifacts"]["when"] == "always"
        elif language == "groovy":
            found = re.findall(r"sh '([^']+)'", code)
            assert code.count("{") == code.count("}")
        else:
            found = []
            for node in ast.walk(ast.parse(code)):
                if isinstance(node, ast.keyword) and node.arg == "bash_command":
                    found.append(node.value.value)
                if isinstance(node, ast.List) and node.elts and getattr(node.elts[0], "value", None) == "gapless":
                    found.append(shlex.join(word.value for word in node.elts))
        steps[title] = found
json.dump(steps, sys.stdout)
