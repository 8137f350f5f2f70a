"""Types into a program on a terminal of its own and prints what the screen was sent, as JSON: one text for each step, and the exit code.

    shell.py STEPS PROMPT PROGRAM [ARGUMENT …]

STEPS is a JSON array of [keys, awaited]: the keys are typed, and the step ends when the awaited text has come, or is given up after a minute,
which is an error that shows what came instead. A line that was sent off has its answer below it, and ends with a prompt: nothing is typed before the
program asks for it. Escape sequences of colours and cursors are taken out, as an eye does not see them.
"""

import fcntl
import json
import os
import pathlib
import pty
import re
import select
import struct
import sys
import termios
import time

steps = json.loads(pathlib.Path(sys.argv[1]).read_text())
prompt = sys.argv[2]
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[3], sys.argv[3:])


def has_come(keys, awaited, text):
    if not keys.endswith("\r") or not awaited:
        return awaited in text
    _, line, answer = text.partition("\n")
    _, found, rest = answer.partition(awaited)
    return bool(line and found) and (awaited.endswith("> ") or prompt in rest)


fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
seen = []
for keys, awaited in steps:
    os.write(terminal, keys.encode())
    text, until = "", time.monotonic() + 60
    while not has_come(keys, awaited, text):
        if time.monotonic() > until:
            sys.exit(f"{keys!r}: {awaited!r} did not come, but: {text!r}")
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                text += os.read(terminal, 65536).decode(errors="replace")
            except OSError:  # the program has ended
                break
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]", "", text)
    if not has_come(keys, awaited, text):
        sys.exit(f"{keys!r}: the program ended with {text!r}")
    seen.append(text.replace("\r\n", "\n"))
# The end may take a moment after the last words.
while True:
    try:
        if not os.read(terminal, 65536):
            break
    except OSError:
        break
_, status = os.waitpid(child, 0)
json.dump({"seen": seen, "code": os.waitstatus_to_exitcode(status)}, sys.stdout)
