"""A real browser without a screen, driven over a pipe (Chrome DevTools Protocol)."""

import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any, Self

_CLOSE_S = 10
_PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def find_browser() -> str | None:
    """Return a browser that is installed."""
    return next((path for name in _PROGRAMS if (path := shutil.which(name))), None)


@dataclass(slots=True)
class Page:
    """One page of a browser of its own; a context manager.

    Attributes:
        program: See ``find_browser``.
        asked: URLs of all that pages have asked for.
        complaints: What the browser wrote to the console as an error or a warning.
    """

    program: str
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _process: "subprocess.Popen[bytes] | None" = None
    _directory: "tempfile.TemporaryDirectory[str] | None" = None
    _to: int = -1
    _from: int = -1
    _unread: bytes = b""
    _session: str | None = None
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def __enter__(self) -> Self:
        self._directory = tempfile.TemporaryDirectory(prefix="plumbline-browser-")
        read_end, self._to = os.pipe()
        self._from, write_end = os.pipe()
        # The browser wants its pipe at 3 and 4.
        script = f'exec 3<&{read_end} 4>&{write_end}; exec "$0" "$@"'
        self._process = subprocess.Popen(
            [
                *("bash", "-c", script, self.program),
                *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
                *("--remote-debugging-pipe", f"--user-data-dir={self._directory.name}"),
                *("--disable-background-networking", "about:blank"),
            ],
            pass_fds=(read_end, write_end),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_end)
        os.close(write_end)
        (target,) = [
            one for one in self._call("Target.getTargets")["targetInfos"] if one["type"] == "page"
        ]
        attached = self._call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self._call(f"{domain}.enable")
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._process is not None
        assert self._directory is not None
        # In good order: its own children write into the directory until they are told to end.
        self._send("Browser.close")
        try:
            self._process.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._to)
        os.close(self._from)
        self._directory.cleanup()

    def open(self, url: str) -> None:
        """Go to a URL."""
        self._call("Page.navigate", url=url)

    def run(self, script: str) -> Any:  # noqa: ANN401 - any JSON
        """Return what an expression of JavaScript gives; a promise is waited for."""
        answer = self._call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, script: str, timeout_s: float = 30) -> Any:  # noqa: ANN401 - any JSON
        """Return what the expression gives as soon as it is something."""
        deadline = time.monotonic() + timeout_s
        while not (found := self.run(script)):
            assert time.monotonic() < deadline, f"in vain: {script}; {self.complaints}"
            time.sleep(0.05)
        return found

    def _send(self, method: str, **parameters: object) -> int:
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session is not None and not method.startswith("Browser."):
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        return number

    def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        number = self._send(method, **parameters)
        while (answer := self._read()).get("id") != number:
            self._note(answer)
        assert "error" not in answer, answer["error"]
        result: dict[str, Any] = answer["result"]
        return result

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            block = os.read(self._from, 65_536)
            assert block, "the browser has ended"
            self._unread += block
        line, _, self._unread = self._unread.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.asked.append(parameters["request"]["url"])
            case "Log.entryAdded" if parameters["entry"]["level"] in {"error", "warning"}:
                self.complaints.append(parameters["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(parameters["exceptionDetails"]))
            case _:
                pass
