"""Opens a page in headless Chromium and prints what became of it, as JSON.

    browser.py CHROMIUM PAGE [--dark] [--width N] [--script FILE] [--acts FILE] [--shot FILE]

SCRIPT is run in the page after it has loaded; what it returns is `result`. ACTS is a JSON array of what a hand then does, in order: `{"mouse":
"moved", "at": …}` (or `pressed`, `released`, twice for a double click with `"clicks": 2`), where `at` is an expression that gives [x, y];
`{"key": "Tab"}`; `{"print": true}`; and `{"read": …}`, an expression whose value goes to `read`. Everything that the page logged, threw, or asked
a network for is listed.
"""

import argparse
import base64
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import websocket

arguments = argparse.ArgumentParser()
arguments.add_argument("chromium")
arguments.add_argument("page")
arguments.add_argument("--dark", action="store_true")
arguments.add_argument("--width", type=int, default=1200)
arguments.add_argument("--height", type=int, default=900)
arguments.add_argument("--script")
arguments.add_argument("--acts")
arguments.add_argument("--shot")
arguments = arguments.parse_args()

profile = tempfile.mkdtemp(prefix="gapless-chromium-")
process = subprocess.Popen(
    [
        arguments.chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
        "about:blank",
    ],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
)
try:
    place = pathlib.Path(profile) / "DevToolsActivePort"
    for _ in range(600):
        if place.exists() and len(place.read_text().split("\n")) >= 2:
            break
        time.sleep(0.1)
    port, path = place.read_text().split("\n")[:2]
    socket = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", suppress_origin=True, timeout=60)
    events, number = [], 0

    def call(method, session=None, **parameters):
        global number
        number += 1
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        socket.send(json.dumps(message))
        while True:
            answer = json.loads(socket.recv())
            if answer.get("id") == number:
                if "error" in answer:
                    sys.exit(f"{method}: {answer['error']}")
                return answer["result"]
            events.append(answer)

    target = call("Target.createTarget", url="about:blank")["targetId"]
    page = call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Runtime", "Log", "Network", "Page"):
        call(f"{domain}.enable", page)
    call("Emulation.setDeviceMetricsOverride", page, width=arguments.width, height=arguments.height, deviceScaleFactor=1, mobile=False)
    scheme = "dark" if arguments.dark else "light"
    call("Emulation.setEmulatedMedia", page, features=[{"name": "prefers-color-scheme", "value": scheme}])
    started = time.monotonic()
    call("Page.navigate", page, url=pathlib.Path(arguments.page).resolve().as_uri())
    while not any(event.get("method") == "Page.loadEventFired" for event in events):
        events.append(json.loads(socket.recv()))
    loaded = time.monotonic() - started

    def evaluate(expression):
        answer = call("Runtime.evaluate", page, expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            sys.exit(json.dumps({"expression": expression, **answer["exceptionDetails"]}, indent=1))
        return answer["result"].get("value")

    result = evaluate(pathlib.Path(arguments.script).read_text()) if arguments.script else None
    read = []
    for act in json.loads(pathlib.Path(arguments.acts).read_text()) if arguments.acts else []:
        if "mouse" in act:
            x, y = evaluate(act["at"])
            button = "none" if act["mouse"] == "moved" else "left"
            call(
                "Input.dispatchMouseEvent",
                page,
                type=f"mouse{act['mouse'].capitalize()}",
                x=x,
                y=y,
                button=button,
                buttons=int(act["mouse"] == "pressed" or act.get("held", False)),
                clickCount=act.get("clicks", 1),
            )
        elif "key" in act:
            text = act["key"] if len(act["key"]) == 1 else ""
            call("Input.dispatchKeyEvent", page, type="keyDown", key=act["key"], code=act.get("code", act["key"]), text=text)
            call("Input.dispatchKeyEvent", page, type="keyUp", key=act["key"], code=act.get("code", act["key"]))
        elif "print" in act:
            pdf = base64.b64decode(call("Page.printToPDF", page, printBackground=True)["data"])
            assert pdf.startswith(b"%PDF-") and len(pdf) > 5_000, "no pages were printed"
        elif "shot" in act:
            shot = call("Page.captureScreenshot", page, captureBeyondViewport=False)
            pathlib.Path(act["shot"]).write_bytes(base64.b64decode(shot["data"]))
        else:
            read.append(evaluate(act["read"]))
    if arguments.shot:
        shot = call("Page.captureScreenshot", page, captureBeyondViewport=False)
        pathlib.Path(arguments.shot).write_bytes(base64.b64decode(shot["data"]))
    call("Runtime.evaluate", page, expression="0")
    said = [e["params"] for e in events if e.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")]
    asked = [e["params"]["request"]["url"] for e in events if e.get("method") == "Network.requestWillBeSent"]
    dialogs = [e["params"] for e in events if e.get("method") == "Page.javascriptDialogOpening"]
    print(
        json.dumps(
            {
                "result": result,
                "read": read,
                "said": said,
                "asked": [url for url in asked if not url.startswith(("file:", "data:"))],
                "dialogs": dialogs,
                "loaded_seconds": loaded,
            }
        )
    )
finally:
    process.terminate()
    process.wait()
    shutil.rmtree(profile, ignore_errors=True)
