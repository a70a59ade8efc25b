"""The configuration file of `python -m plumbline.simulator`, and the page that describes it all."""

import json
import re
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plumbline.domain.device import NetworkServer
from plumbline.errors import ConfigurationError
from plumbline.simulator.__main__ import read_config
from plumbline.simulator.config import LorawanPart, SimulationConfig
from plumbline.simulator.device import DIALECTS
from plumbline.simulator.faults import Faults
from plumbline.simulator.lorawan.roster import roster
from plumbline.simulator.lorawan.sender import MALFORMED_FRAMES
from plumbline.simulator.lorawan.sensors import MODELS
from plumbline.simulator.malformed import MALFORMED
from plumbline.simulator.scenarios import SCENARIO_NAMES
from plumbline.simulator.truth import (
    DeviceLine,
    DownlinkLine,
    EndLine,
    MalformedLine,
    ReadingLine,
    RunLine,
)
from plumbline.simulator.verify import CHECKS

PAGE = (Path(__file__).parents[2] / "docs/reference/simulator.md").read_text("utf-8")
GOOD: dict[str, Any] = {"url": "mqtt://127.0.0.1:1883", "credentials": {"sim-1": "secret"}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


def test_a_short_file_gives_the_defaults(path: Path) -> None:
    path.write_text(json.dumps(GOOD))
    config, credentials, truth, lorawan = read_config(path)
    assert config == SimulationConfig("mqtt://127.0.0.1:1883")
    assert (config.scenario, config.interval_s, config.count) == ("mixed", 5.0, None)
    assert (credentials, truth) == ({"sim-1": "secret"}, None)
    assert lorawan == LorawanPart()


def test_a_full_file_is_read(path: Path) -> None:
    options = {"seed": 9, "faults": {"late": 0.5}, "epoch": "2026-01-18T10:30:00Z", "count": 3}
    path.write_text(json.dumps(GOOD | {"truth": "t.jsonl", "options": options}))
    config, _, truth, _ = read_config(path)
    assert (config.seed, config.count, config.faults) == (9, 3, Faults(late=0.5))
    assert config.epoch == datetime(2026, 1, 18, 10, 30, tzinfo=UTC)
    assert truth == Path("t.jsonl")


def test_lorawan_devices_are_read_with_their_servers_users(path: Path) -> None:
    devices = roster(["a", "b"], 10)
    part: dict[str, Any] = {
        "devices": {name: asdict(entry) for name, entry in devices.items()},
        "users": {"chirpstack": ["u1", "p1"], "things-stack": ["u2", "p2"]},
    }
    path.write_text(json.dumps(GOOD | {"lorawan": part}))
    *_, lorawan = read_config(path)
    assert lorawan.devices == devices
    assert lorawan.users[NetworkServer.THINGS_STACK] == ("u2", "p2")
    assert "p2" not in repr(lorawan)
    del part["users"]["things-stack"]
    path.write_text(json.dumps(GOOD | {"lorawan": part}))
    with pytest.raises(ConfigurationError, match="no user for things-stack"):
        read_config(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "config: "),
        ("[]", "not an object"),
        ('{"credentials": {}}', "url: missing"),
        ('{"url": "mqtt://h"}', "credentials: missing"),
        ('{"url": "mqtt://h", "credentials": {}, "colour": 1}', "colour: unknown"),
        ('{"url": "mqtt://h", "credentials": []}', "config: "),
        ('{"url": "mqtt://h", "credentials": {}, "options": {"url": "x"}}', "url: unknown"),
        ('{"url": "mqtt://h", "credentials": {}, "options": {"epoch": "now"}}', "config: "),
        ('{"url": "mqtt://h", "credentials": {}, "options": {"faults": {"x": 1}}}', "config: "),
        ('{"url": "mqtt://h", "credentials": {}, "options": {"count": "3"}}', "config: "),
        ('{"url": "mqtt://h", "credentials": {}, "options": {"scenario": "?"}}', "scenario: "),
    ],
)
def test_a_wrong_file_is_refused(path: Path, text: str, message: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        read_config(path)


def test_a_missing_file_is_refused(path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^config: "):
        read_config(path)


# --- the reference page -------------------------------------------------------------------------


def table(heading: str) -> dict[str, str]:
    """Return the tables under a heading: first column's code word to the rest of the row."""
    section = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    [text] = [part for part in section if part.startswith(f"{heading}\n")]
    return dict(re.findall(r"^\| `([^`]+)` \|(.*)\|$", text, flags=re.MULTILINE))


def test_the_page_names_every_option_with_its_default() -> None:
    rows = table("Options")
    assert list(rows) == [field.name for field in fields(SimulationConfig)]
    config = SimulationConfig("mqtt://h")
    for name in ("scenario", "seed", "interval_s", "connect_timeout_s"):
        default = getattr(config, name)
        shown = default if isinstance(default, str) else f"{default:g}"
        assert rows[name].split("|")[0].strip(" `") == shown


def test_the_page_names_every_scenario_fault_and_check() -> None:
    assert tuple(table("Scenarios")) == SCENARIO_NAMES
    assert tuple(table("Devices")) == DIALECTS
    assert tuple(table("What verify checks")) == CHECKS
    rows = table("Faults")
    assert list(rows)[:6] == [field.name for field in fields(Faults)]
    reasons = {name: rest.strip(" `") for name, rest in list(rows.items())[6:]}
    frames = {kind.name: kind.reason.value for kind, _ in MALFORMED_FRAMES}
    assert reasons == {kind.name: kind.reason.value for kind in MALFORMED} | frames


def test_the_page_names_every_sensor_that_is_simulated() -> None:
    assert tuple(table("LoRaWAN devices")) == tuple(model.name for model in MODELS)


def test_the_page_names_every_member_of_the_truth_file() -> None:
    rows = table("Truth file")
    kinds: dict[str, type[msgspec.Struct]] = {
        "run": RunLine,
        "device": DeviceLine,
        "reading": ReadingLine,
        "malformed": MalformedLine,
        "downlink": DownlinkLine,
        "end": EndLine,
    }
    for tag, line in kinds.items():
        named = set(re.findall(r"`(\w+)`", rows[tag]))
        members = {field.name for field in msgspec.structs.fields(line)}
        if tag == "malformed":
            named |= members & set(re.findall(r"`(\w+)`", rows["reading"]))
            named -= {"reading", "faults", "payload"}
        assert named == members
