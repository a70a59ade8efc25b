"""Log lines of the portal."""

import json
import logging
import sys

from plumbline.portal.logs import JsonLines


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
