"""A real Chromium, driven over its own debugging protocol: pointer, keys, viewport, pictures.

The one that Debian packages; a test command that runs as root installs it when it is missing, any
other says what is missing by name. It is started with an empty profile and no network of its own,
and ended by its process id.
"""

import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Self

from websockets.sync.client import connect

PACKAGE = "chromium"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--force-color-profile=srgb", "--remote-debugging-port=0"),
)
ANSWER_S = 30
INSTALL_S = 600
KEYS = {"Enter": ("\r", 13), "Escape": ("", 27), "Tab": ("", 9), "ArrowDown": ("", 40)}


def chromium() -> str:
    """The browser's program; installed first where that is possible."""
    found = shutil.which(PACKAGE)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update", "-qq"], ["install", "-y", "--no-install-recommends", PACKAGE]):
            subprocess.run(
                ["apt-get", *words], check=False, capture_output=True, timeout=INSTALL_S, env=quiet
            )
        found = shutil.which(PACKAGE)
    assert found is not None, (
        f"{PACKAGE} is missing: install Debian's package {PACKAGE!r}, or run the tests as root"
    )
    return found


class Chromium:
    """A browser with one tab."""

    def __init__(self, profile: Path) -> None:
        """Take an empty folder for its profile; nothing runs yet."""
        self._profile = profile
        self._numbers = itertools.count(1)
        self._session = ""
        self.troubles: list[str] = []
        """What the console said: errors, and what the policy of a page forbade."""

    def __enter__(self) -> Self:
        """Start it and open its tab."""
        self._process = subprocess.Popen(
            [chromium(), *FLAGS, f"--user-data-dir={self._profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        port, path = self._where()
        self._socket = connect(
            f"ws://127.0.0.1:{port}{path}", max_size=64 << 20, proxy=None, open_timeout=ANSWER_S
        )
        targets = self._ask("Target.getTargets")["targetInfos"]
        page = next(one for one in targets if one["type"] == "page")
        attached = self._ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(ANSWER_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(ANSWER_S)

    def _where(self) -> tuple[str, str]:
        told = self._profile / "DevToolsActivePort"
        deadline = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if told.exists() and told.read_text().count("\n") >= 1:
                port, path = told.read_text().splitlines()[:2]
                return port, path
            time.sleep(0.02)
        raise AssertionError("chromium did not start")

    def _ask(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(ANSWER_S))
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self._hear(answer)

    def _hear(self, said: dict[str, Any]) -> None:
        params = said.get("params", {})
        if said.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.troubles.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        if said.get("method") == "Runtime.exceptionThrown":
            self.troubles.append(json.dumps(params["exceptionDetails"])[:2000])

    # --- what a person does

    def go(self, address: str) -> None:
        """Open an address and wait until its page is whole."""
        self._ask("Page.navigate", url=address)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def press(self, selector: str, times: int = 1) -> None:
        """Press the pointer on the middle of what a selector finds, as it is on the screen."""
        self.until(f"!!document.querySelector({json.dumps(selector)})")
        found = f"document.querySelector({json.dumps(selector)})"
        self.js(f"{found}.scrollIntoView({{block: 'center'}})")
        box = self.js(f"{found}.getBoundingClientRect().toJSON()")
        place = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        for count in range(1, times + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self._ask(
                    "Input.dispatchMouseEvent",
                    type=kind,
                    x=place[0],
                    y=place[1],
                    button="left",
                    clickCount=count,
                )

    def key(self, *names: str) -> None:
        """Press keys one after the other, such as "j" or "Enter"."""
        for name in names:
            text, code = KEYS.get(name, (name, ord(name[0].upper())))
            for kind in ("keyDown", "keyUp"):
                params: dict[str, Any] = {"type": kind, "key": name, "windowsVirtualKeyCode": code}
                if kind == "keyDown" and text:
                    params["text"] = text
                self._ask("Input.dispatchKeyEvent", **params)

    def write(self, text: str) -> None:
        """Type a text into what has the focus."""
        self._ask("Input.insertText", text=text)

    def screen(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """Look through a screen of a size, in a colour scheme."""
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])

    # --- what a test sees

    def js(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = self._ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, selector: str = "body") -> str:
        """What stands on the screen."""
        found: str = self.js(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
        return found

    def until(self, expression: str, within_s: float = ANSWER_S) -> None:
        """Wait until an expression is true; a page that is just changing is asked again."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            try:
                if self.js(f"Boolean({expression})"):
                    return
            except AssertionError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"it did not come to hold: {expression}\n{self.text()}")

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Keep what is on the screen, or the whole page, as a PNG."""
        taken = self._ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(taken["data"]))
