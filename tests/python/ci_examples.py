"""Takes the examples of docs/ci.md apart and prints, as JSON, the shell step of each: YAML is read by PyYAML, Python by Python. What is for GitHub
and for GitLab is held against the JSON Schemas of their files, as check-jsonschema carries them.

    ci_examples.py docs/ci.md
"""

import ast
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

import yaml



def fits(kind, code):
    """Whether a file is one that the vendor's schema takes."""
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        file.write(code)
        file.flush()
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{kind}", file.name]
        return subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0


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
                assert fits("github-workflows", code) and not fits("github-workflows", code.replace("runs-on:", "run-on:"))
            else:
                found = whole["verify"]["script"]
                assert whole["verify"]["artifacts"]["when"] == "always"
                assert fits("gitlab-ci", code) and not fits("gitlab-ci", code.replace("when: always", "when: sometimes"))
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
