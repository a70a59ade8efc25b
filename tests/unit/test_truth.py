"""The truth file: what is written is read, and a torn line is where a process can have died."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbline.errors import ConfigurationError
from plumbline.simulator.malformed import MALFORMED, Refused
from plumbline.simulator.plan import Publication
from plumbline.simulator.truth import (
    DeviceLine,
    EndLine,
    MalformedLine,
    ReadingLine,
    RunLine,
    read_truth,
)
from plumbline.simulator.truth_writer import VERSION, TruthWriter

NOW = datetime(2026, 1, 18, 10, 30, 0, 123456, tzinfo=UTC)


def begin(writer: TruthWriter, run: str = "r1") -> None:
    writer.line(
        "run",
        run=run,
        version=VERSION,
        seed=1,
        scenario="mixed",
        started_at=NOW,
        epoch=NOW,
        parameters={"interval_s": 5.0},
    )


def reading(number: int = 0, text: str = "") -> Publication:
    members = {"timestamp": 1_768_732_200_000 + number, "tilt_angle": 0.1, "place": text}
    return Publication(
        device_id="sim-1",
        topic="tilt/sim-1/telemetry",
        payload=json.dumps(members, ensure_ascii=False).encode(),
        number=number,
        connection=2,
        attempts=3,
        published_at=NOW.timestamp(),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "truth.jsonl"


def numbers(path: Path) -> list[int]:
    return [line.number for line in read_truth(path) if isinstance(line, ReadingLine)]


def test_every_kind_of_line_is_read_as_written(path: Path) -> None:
    bad = reading(1)
    kind = MALFORMED[1]
    bad.malformed, bad.payload = Refused(kind.name, kind.reason), b"\xff\x00"
    late = reading(2)
    late.faults = ("late",)
    with TruthWriter(path) as writer:
        begin(writer)
        writer.line("device", device="sim-1", truth={"scenario": "creep"})
        writer.publication(reading(), 0)
        writer.publication(bad, 16)
        writer.publication(late, 0x87)
        writer.publication(reading(3), None)
        writer.line("end", run="r1", ended_at=NOW, summary={"published": 4})
    run, device, good, refused, rejected, unanswered, end = read_truth(path)
    assert isinstance(run, RunLine)
    assert (run.run, run.seed, run.scenario, run.started_at) == ("r1", 1, "mixed", NOW)
    assert device == DeviceLine("sim-1", {"scenario": "creep"})
    assert isinstance(good, ReadingLine)
    assert (good.device, good.number, good.connection, good.attempts) == ("sim-1", 0, 2, 3)
    assert good.published_at == NOW
    assert good.acknowledged_at is not None
    assert good.payload == json.loads(reading().payload)
    assert isinstance(refused, MalformedLine)
    assert (refused.kind, refused.reason) == (MALFORMED[1].name, MALFORMED[1].reason)
    assert (refused.bytes, refused.sha256) == (2, sha256(b"\xff\x00").hexdigest())
    assert (refused.code, refused.acknowledged_at is not None) == (16, True)
    assert isinstance(rejected, ReadingLine)
    assert (rejected.code, rejected.acknowledged_at, rejected.faults) == (0x87, None, ["late"])
    assert isinstance(unanswered, ReadingLine)
    assert (unanswered.code, unanswered.acknowledged_at) == (None, None)
    assert end == EndLine("r1", NOW, {"published": 4})


def test_flushed_lines_are_there_before_the_end(path: Path) -> None:
    with TruthWriter(path) as writer:
        begin(writer)
        writer.publication(reading(), 0)
        assert path.read_bytes() == b""
        writer.flush()
        assert numbers(path) == [0]
        writer.publication(reading(1), 0)
        writer.flush()
        assert numbers(path) == [0, 1]


@given(share=st.floats(0.0, 1.0))
def test_whatever_the_death_leaves_is_read(
    share: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Cut anywhere: every whole line is read, and those of the next run after it."""
    path = tmp_path_factory.mktemp("truth") / "truth.jsonl"
    with TruthWriter(path) as writer:
        begin(writer)
        for number in range(3):
            writer.publication(reading(number, "Brücke\n"), 0)
    whole = path.read_bytes()
    kept = whole[: round(share * len(whole))]
    path.write_bytes(kept)
    texts = whole.split(b"\n")[:-1]
    lines = sum(text in texts for text in kept.split(b"\n"))
    assert len(list(read_truth(path))) == lines
    with TruthWriter(path) as writer:
        begin(writer, "r2")
        writer.publication(reading(7), 0)
    after = list(read_truth(path))
    assert len(after) == lines + 2
    assert isinstance(after[-2], RunLine)
    assert after[-2].run == "r2"


@pytest.mark.parametrize("garbage", [b"garbage\n", b"{}\n", b'{"type":"reading"}\n', b"\n"])
def test_a_wrong_line_elsewhere_is_refused(path: Path, garbage: bytes) -> None:
    with TruthWriter(path) as writer:
        begin(writer)
        writer.publication(reading(), 0)
        writer.publication(reading(1), 0)
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second + garbage + third)
    with pytest.raises(ConfigurationError, match=r"line 3 "):
        list(read_truth(path))


def test_a_missing_file_is_a_wrong_setting(path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^truth: .*No such file"):
        list(read_truth(path))


def test_a_directory_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^truth: "):
        TruthWriter(tmp_path)


def test_without_a_path_nothing_is_written() -> None:
    with TruthWriter(None) as writer:
        begin(writer)
        writer.publication(reading(), 0)
