"""Types into a program on a terminal of its own and prints what the screen was sent, as JSON: one text for each step, and the exit code.

    shell.py STEPS PROGRAM [ARGUMENT …]

STEPS is a JSON array of [keys, awaited]: the keys are typed, and the step ends when the awaited text has come, or is given up after twenty
seconds, which is an error that shows what came instead. Escape sequences of colours and cursors are taken out, as an eye does not see them.
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
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
seen = []
for keys, awaited in steps:
    os.write(terminal, keys.encode())
    text, until = "", time.monotonic() + 20
    while awaited not in text:
        if time.monotonic() > until:
            sys.exit(f"{keys!r}: {awaited!r} did not come, but: {text!r}")
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                text += os.read(terminal, 65536).decode(errors="replace")
            except OSError:  # the program has ended
                break
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]", "", text)
    if awaited not in text:
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
