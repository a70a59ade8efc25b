"""Log lines of the portal."""

import asyncio
import errno
import io
import json
import logging
import sys
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from plumbline.portal.access_log import _MAX_WAITING, AccessLog
from plumbline.portal.logs import JsonLines
from plumbline.portal.request_head import HEAD_KEY, HeadReader


def record(message: str, **extra: object) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": message, "levelname": "WARNING", "name": "x", **extra})


def test_fields_are_in_the_line() -> None:
    line = json.loads(JsonLines().format(record("blocked", address="192.0.2.1", wait_s=4)))
    assert (line["event"], line["level"]) == ("blocked", "warning")
    assert (line["address"], line["wait_s"]) == ("192.0.2.1", 4)
    assert line["at"].endswith("Z")


def test_a_record_is_one_line_whatever_it_says() -> None:
    def fail() -> None:
        msg = 'no\n{"event":"forged"}\r\x1b[31m'
        raise ValueError(msg)

    try:
        fail()
    except ValueError:
        text = JsonLines().format(record("failed\nforged", path=object(), exc_info=sys.exc_info()))
    assert len(text.splitlines()) == 1
    assert "\x1b" not in text
    assert "ValueError" in json.loads(text)["traceback"]


class _Disk(io.BytesIO):
    """Full, until a test makes room."""

    full = True

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - any buffer
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_a_full_disk_costs_lines_of_the_access_log_and_no_request() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def requests(log: AccessLog, times: int) -> int:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.request"}

        for _ in range(times):
            scope: Scope = {
                "type": "http",
                "method": "GET",
                "scheme": "http",
                "path": "/x",
                "headers": [],
            }
            scope[HEAD_KEY] = HeadReader(0, loopback_cookie=False).read(scope)
            await log(scope, receive, send)
        log.write()
        return sum(message.get("status") == 200 for message in sent)

    async def both() -> None:
        disk = _Disk()
        log = AccessLog(app, disk)
        assert await requests(log, 3 * _MAX_WAITING) == 3 * _MAX_WAITING
        disk.full = False
        assert await requests(log, 2) == 2
        assert len(disk.getvalue().splitlines()) == 2

    asyncio.run(both())
