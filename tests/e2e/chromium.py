"""A real Chromium, driven over its own debugging protocol: pointer, keys, viewport, pictures.

The one that Debian packages. `make test` installs it first where it is missing, when it runs as
root; any other test command says what is missing by name. It is started with an empty profile and
without services of its own. It is spoken to by a pipe, and ends when that does, however the test
went.
"""

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

PACKAGE = "chromium"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--force-color-profile=srgb", "--remote-debugging-pipe"),
)
ANSWER_S = 30
END_S = 5
INSTALL_S = 600
_BECOME = """
import os, sys
heard, said = os.dup(int(sys.argv[1])), os.dup(int(sys.argv[2]))
os.dup2(heard, 3), os.dup2(said, 4)
os.set_inheritable(3, True), os.set_inheritable(4, True)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Puts the pipe where the browser looks for it: it reads from 3 and writes to 4."""
KEYS = {"Enter": ("\r", 13), "Escape": ("", 27), "Tab": ("", 9), "ArrowDown": ("", 40)}


def install() -> None:
    """Bring the browser where it is missing and may be brought.

    The test command does so before its tests, whose own time is bounded.
    """
    if shutil.which(PACKAGE) is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing Debian's package {PACKAGE} for the tests of the desk.", flush=True)
        quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update", "-qq"], ["install", "-y", "--no-install-recommends", PACKAGE]):
            subprocess.run(
                ["apt-get", *words], check=False, capture_output=True, timeout=INSTALL_S, env=quiet
            )


def chromium() -> str:
    """The browser's program."""
    found = shutil.which(PACKAGE)
    assert found is not None, (
        f"{PACKAGE} is missing: install Debian's package {PACKAGE!r}, or run `make test` as root"
    )
    return found


class Chromium:
    """A browser; each tab has cookies of its own."""

    def __init__(self, profile: Path) -> None:
        """Take an empty folder for its profile; nothing runs yet."""
        self._profile = profile
        self._numbers = itertools.count(1)
        self._read = b""
        self.hears: dict[str, Callable[[dict[str, Any]], None]] = {}
        """Who is told what a tab says, by its session."""

    def __enter__(self) -> Self:
        """Start it, as a process group that ends when its pipe does."""
        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", _BECOME, str(theirs_in), str(theirs_out)),
                *(chromium(), *FLAGS, f"--user-data-dir={self._profile}", "about:blank"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs_in, theirs_out),
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            self.ask("Browser.getVersion")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it and all that it started."""
        os.close(self._to)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        with contextlib.suppress(ProcessLookupError):
            # What is left of its group, when its pipe was not enough.
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(ANSWER_S)
        os.close(self._from)

    def ask(self, method: str, session: str = "", **params: Any) -> Any:
        """Say something over the protocol, and wait for the answer."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + ANSWER_S
        while True:
            answer = self._next(deadline)
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            hear = self.hears.get(answer.get("sessionId", ""))
            if hear is not None:
                hear(answer)

    def _next(self, deadline: float) -> Any:
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._from], [], [], max(0, deadline - time.monotonic()))
            assert ready, "chromium does not answer"
            piece = os.read(self._from, 1 << 20)
            assert piece, "chromium has ended"
            self._read += piece
        text, _, self._read = self._read.partition(b"\0")
        return json.loads(text)


class Tab:
    """One tab, and the person before it."""

    def __init__(self, browser: Chromium) -> None:
        """Open it, with cookies of its own."""
        self._browser = browser
        self.troubles: list[str] = []
        """What the console said: errors, and what the policy of a page forbade."""
        self._context = browser.ask("Target.createBrowserContext")["browserContextId"]
        target = browser.ask(
            "Target.createTarget", url="about:blank", browserContextId=self._context
        )
        attached = browser.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session: str = attached["sessionId"]
        browser.hears[self._session] = self._hear
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")

    def close(self) -> None:
        """Close it and forget its cookies."""
        self._browser.ask("Target.disposeBrowserContext", browserContextId=self._context)
        del self._browser.hears[self._session]

    def _ask(self, method: str, **params: Any) -> Any:
        return self._browser.ask(method, self._session, **params)

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


if __name__ == "__main__":
    install()
