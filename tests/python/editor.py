"""What an editor offers in a job file: asks the language server of Tombi, and prints the labels for each place, as JSON.

    editor.py PROGRAM DIRECTORY PLACES

PLACES is a JSON array of texts of a job in DIRECTORY, each with a `|` where the cursor stands.
"""

import json
import pathlib
import subprocess
import sys
import time

program, directory, places = sys.argv[1], pathlib.Path(sys.argv[2]).resolve(), json.loads(pathlib.Path(sys.argv[3]).read_text())
server = subprocess.Popen(
    [program, "lsp", "--offline"], cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
)
asked = 0


def send(message):
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    server.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
    server.stdin.flush()


def receive():
    length = 0
    while line := server.stdout.readline().strip():
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    assert length, "the server has ended"
    return json.loads(server.stdout.read(length))


def ask(method, parameters):
    """The answer to a request; before it, what the server wants to know is answered with nothing."""
    global asked
    asked += 1
    send({"id": asked, "method": method, "params": parameters})
    while True:
        message = receive()
        if "method" in message and "id" in message:
            nothing = [{} for _ in message["params"]["items"]] if message["method"] == "workspace/configuration" else None
            send({"id": message["id"], "result": nothing})
        elif message.get("id") == asked:
            return message["result"]


ask("initialize", {"processId": None, "rootUri": directory.as_uri(), "capabilities": {}})
send({"method": "initialized", "params": {}})
offered = []
for version, place in enumerate(places):
    before, after = place.split("|")
    # A file of its own: the server may still be busy with the one before.
    uri = (directory / f"place{version}.toml").as_uri()
    document = {"uri": uri, "languageId": "toml", "version": version, "text": before + after}
    send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
    position = {"line": before.count("\n"), "character": len(before.split("\n")[-1])}
    # The server reads the schema in the background: until it has, it offers nothing.
    for _ in range(100):
        answer = ask("textDocument/completion", {"textDocument": {"uri": uri}, "position": position})
        items = answer["items"] if isinstance(answer, dict) else answer or []
        if items:
            break
        time.sleep(0.1)
    offered.append([item["label"] for item in items])
    send({"method": "textDocument/didClose", "params": {"textDocument": {"uri": uri}}})
server.kill()
json.dump(offered, sys.stdout)
