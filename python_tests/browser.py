"""A headless Chromium, driven over a pipe by the DevTools protocol; nothing beyond Python's own."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import threading

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_LIMIT = 300  # seconds, after which one that hangs is ended
_SWITCHES = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # root, as in a container, may not have one
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
)


def find():
    """The path of a Chromium, or None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One tab. `complaints` holds what the console said; `requests` what was asked for, by URL."""

    def __init__(self, to, back, process):
        self._to, self._back, self._process = to, back, process
        self._number, self._session = 0, None
        self.complaints, self.requests = [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """Ask for something, and wait for the answer; events until then are noted."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while (answer := self._next()).get("id") != self._number:
            self._note(answer)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def open(self, url, *, width, height=800, dark=False, media=""):
        """Show a page at a width in CSS pixels, and wait until it is loaded."""
        self.complaints.clear()
        self.requests.clear()
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.call("Page.navigate", url=url)
        while (event := self._next()).get("method") != "Page.loadEventFired":
            self._note(event)

    def evaluate(self, expression):
        """The value of a JavaScript expression in the page."""
        said = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def press(self, key, code):
        """A key, such as Tab (9)."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)

    def screenshot(self, path):
        """Write the whole page as PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _next(self):
        message = bytearray()
        while (byte := self._back.read(1)) != b"\0":
            assert byte, f"the browser ended with {self._process.wait()}"
            message += byte
        return json.loads(message)

    def _note(self, event):
        kind, about = event.get("method"), event.get("params", {})
        if kind == "Log.entryAdded":
            self.complaints.append(about["entry"]["text"])
        elif kind == "Runtime.consoleAPICalled":
            self.complaints.append(str(about["args"]))
        elif kind == "Runtime.exceptionThrown":
            self.complaints.append(about["exceptionDetails"]["text"])
        elif kind == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])


@contextlib.contextmanager
def started(program):
    """A Browser, ended and its profile removed afterwards."""
    there, to = os.pipe()
    back, here = os.pipe()
    # Chromium reads commands from file descriptor 3, and answers on 4.
    script = f'exec "$0" "$@" 3<&{there} 4>&{here}'
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            ["bash", "-c", script, program, *_SWITCHES, f"--user-data-dir={profile}"],
            pass_fds=(there, here),
            stderr=subprocess.DEVNULL,
        )
        os.close(there)
        os.close(here)
        watch = threading.Timer(_LIMIT, process.kill)
        watch.start()
        with open(to, "wb") as outgoing, open(back, "rb") as incoming:
            try:
                yield Browser(outgoing, incoming, process)
            finally:
                watch.cancel()
                process.terminate()
                process.wait()
